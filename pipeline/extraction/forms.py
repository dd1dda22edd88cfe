"""What a document is, by its content: a table of signatures, and for containers what lies in them."""

from __future__ import annotations

import io
import lzma
import re
import struct
import zipfile
import zlib

# What a document begins with. None may begin a text: what is letters alone is left to the NUL bytes behind it.
_STARTS = {
    b"%PDF-": "pdf",
    b"{\\rtf": "rtf",
    b"PK\x03\x04": "zip",
    b"PK\x05\x06": "zip",
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": "compound",
    b"\x1f\x8b": "gz",
    b"\x28\xb5\x2f\xfd": "zst",
    b"BZh": "bz2",
    b"%!PS": "PostScript",
    b"\x89PNG": "png",
    b"\xff\xd8\xff": "jpeg",
    b"II*\0": "tiff",
    b"MM\0*": "tiff",
    b"OggS\0": "a sound (Ogg)",
    b"7z\xbc\xaf\x27\x1c": "an archive (7z)",
    b"Rar!\x1a\x07": "an archive (RAR)",
    b"\xfd7zXZ\0": "compressed by xz",
    b"PAR1\x15": "a table (Parquet)",
    b"SQLite format 3\0": "a database (SQLite)",
    b"\x7fELF": "a program",
    b"MZ\x90\0": "a program",
}
_START = re.compile(b"|".join(map(re.escape, _STARTS)))
_TAR = (b"ustar\0", b"ustar  \0")  # at _TAR_OFFSET
_TAR_OFFSET = 257
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
_MAY_BE_MAIL = re.compile(rb"[A-Za-z][A-Za-z0-9-]{1,60}:")
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
PACKED = ("gz", "zst", "bz2")
READ = ("text", "markdown", "html", "csv", "json", "pdf", *OFFICE, "eml", "msg", "zip", "tar", "png", "jpeg", "tiff")


def signed_form(content: bytes, suffix: str) -> str | None:
    """The form of what is no text, container forms (zip, compound) among them; None for text."""
    if (found := _START.match(content)) and (found[0] != b"BZh" or content[4:10] == _BZIP_BLOCK):
        return _STARTS[found[0]]
    if content.startswith(_TAR, _TAR_OFFSET):
        return "tar"
    if content.find(b"%PDF-", 0, _PDF_WITHIN) >= 0 and b"endobj" in content:
        return "pdf"
    return "eml" if _is_mail(content, suffix) else None


def _is_mail(content: bytes, suffix: str) -> bool:
    """Whether it begins with a message's header: with fields that only mail has, unless its name says what it is."""
    found = _HEADER.match(content, 0, _HEADER_BYTES) if _MAY_BE_MAIL.match(content) else None
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
