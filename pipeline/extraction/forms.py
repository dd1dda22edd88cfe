"""What a document is, by its content: a table of signatures, and for containers what lies in them."""

from __future__ import annotations

import io
import lzma
import re
import struct
import zipfile
import zlib

# In Python, so that a look at a listing's 100,000 texts costs a microsecond each. Offset, signature, form.
_SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    (0, b"{\\rtf", "rtf"),
    (0, b"PK\x03\x04", "zip"),
    (0, b"PK\x05\x06", "zip"),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "compound"),
    (0, b"\x1f\x8b", "gz"),
    (0, b"\x28\xb5\x2f\xfd", "zst"),
    (0, b"BZh", "bz2"),
    (257, b"ustar", "tar"),
    (0, b"%!PS", "PostScript"),
    (0, b"\x89PNG", "a picture (PNG)"),
    (0, b"\xff\xd8\xff", "a picture (JPEG)"),
    (0, b"GIF8", "a picture (GIF)"),
    (0, b"II*\0", "a picture (TIFF)"),
    (0, b"MM\0*", "a picture (TIFF)"),
    (8, b"WEBP", "a picture (WebP)"),
    (4, b"ftyp", "a film, a sound or a picture (MP4, HEIF)"),
    (0, b"ID3", "a sound (MP3)"),
    (0, b"OggS", "a sound (Ogg)"),
    (0, b"7z\xbc\xaf\x27\x1c", "an archive (7z)"),
    (0, b"Rar!", "an archive (RAR)"),
    (0, b"\xfd7zXZ\0", "compressed by xz"),
    (0, b"PAR1", "a table (Parquet)"),
    (0, b"SQLite format 3\0", "a database (SQLite)"),
    (0, b"\x7fELF", "a program"),
    (0, b"MZ\x90\0", "a program"),
)
_PDF_WITHIN = 1024  # bytes that may stand before the header (PDF 1.7, implementation note 13)
_BZIP_BLOCK = b"1AY&SY"
_PACKED_PARTS = {"word/document.xml": "docx", "ppt/presentation.xml": "pptx", "xl/workbook.xml": "xlsx"}
_PACKED_TYPES = {
    b"application/vnd.oasis.opendocument.text": "odt",
    b"application/vnd.oasis.opendocument.spreadsheet": "ods",
    b"application/vnd.oasis.opendocument.presentation": "odp",
    b"application/epub+zip": "epub",
}
_STREAMS = {
    "__properties_version1.0": "msg",
    "EncryptedPackage": "encrypted",
    "WordDocument": "doc",
    "PowerPoint Document": "ppt",
    "Workbook": "xls",
    "Book": "xls",
}
_HEADER = re.compile(rb"(?:[A-Za-z][A-Za-z0-9-]{0,60}:[ \t]?[^\r\n]*\r?\n(?:[ \t][^\r\n]*\r?\n)*)+")
_HEADER_BYTES = 64_000
_OF_MAIL = re.compile(rb"^(?:MIME-Version|Message-ID|Received|Return-Path):", re.IGNORECASE | re.MULTILINE)
_SENDER = re.compile(rb"^From:", re.IGNORECASE | re.MULTILINE)
_MOST_MEMBERS = 100_000  # of a ZIP: its directory is read whole

# What zipfile lets through for a broken archive: its own error, those of the decompressors, and a password's.
BROKEN_ZIP = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    OSError,
    EOFError,
    ValueError,
    NotImplementedError,
    RuntimeError,
)

OFFICE = ("docx", "pptx", "xlsx", "odt", "ods", "odp", "epub", "rtf", "doc", "ppt")
READ = ("text", "markdown", "html", "csv", "json", "pdf", *OFFICE, "eml", "msg")


def signed_form(content: bytes, suffix: str) -> str | None:
    """The form of what is no text, container forms (zip, compound) among them; None for text."""
    for offset, signature, form in _SIGNATURES:
        if content.startswith(signature, offset) and (form != "bz2" or content[4:10] == _BZIP_BLOCK):
            return form
    if b"%PDF-" in content[:_PDF_WITHIN]:
        return "pdf"
    return "eml" if _is_mail(content, suffix) else None


def _is_mail(content: bytes, suffix: str) -> bool:
    """Whether it begins with a message's header: with fields that only mail has, unless its name says what it is."""
    found = _HEADER.match(content, 0, _HEADER_BYTES) if content[:1].isalpha() and b":" in content[:62] else None
    if found is None or not _SENDER.search(found[0]):
        return False
    return suffix == ".eml" or bool(_OF_MAIL.search(found[0]))


def zipped_form(content: bytes) -> str:
    """The form of a ZIP: that of a document, or zip. Raises one of BROKEN_ZIP."""
    with zipfile.ZipFile(io.BytesIO(content)) as packed:
        names = packed.namelist()
        if len(names) > _MOST_MEMBERS:
            raise zipfile.BadZipFile(f"more than {_MOST_MEMBERS} members")
        if "mimetype" in names:
            with packed.open("mimetype") as member:
                found = _PACKED_TYPES.get(member.read(100).strip().removesuffix(b"-template"))
            if found:
                return found
        return next((form for part, form in _PACKED_PARTS.items() if part in names), "zip")


def compound_form(content: bytes) -> str:
    """The form of a compound file by the streams in its root, or compound."""
    names = set(_entries(content))
    return next((form for name, form in _STREAMS.items() if name in names), "compound")


def _entries(content: bytes) -> list[str]:
    """The names in the first part of the directory (MS-CFB 2.6), enough to tell what the file is."""
    try:
        shift, start = struct.unpack_from("<H", content, 30)[0], struct.unpack_from("<I", content, 48)[0]
        directory = content[(start + 1) << shift :][:65_536] if shift in (9, 12) else b""
        sizes = [struct.unpack_from("<H", directory, at + 64)[0] for at in range(0, len(directory) - 127, 128)]
    except struct.error:
        return []
    return [
        directory[at * 128 : at * 128 + max(0, min(size, 64) - 2)].decode("utf-16-le", "replace")
        for at, size in enumerate(sizes)
    ]
