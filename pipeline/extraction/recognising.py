"""Pictures of pages -> the text that Tesseract sees in them, where the extra `ocr` and its language files are there."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pipeline.domain import Failure, Reason
from pipeline.extraction.values import Text

PICTURES = ("png", "jpeg", "tiff")
DOTS_PER_INCH = 300
MOST_PIXELS = 60_000_000  # of a page; a sheet of A2 at that resolution
MOST_FRAMES = 1_000
# Where systems put them: Debian, others, Homebrew. Its environment says nothing to a worker, which gets none.
_FOLDERS = (
    "/usr/share/tesseract-ocr/*/tessdata",
    "/usr/share/tessdata",
    "/usr/local/share/tessdata",
    "/opt/homebrew/share/tessdata",
)
# The model of a script reads all its languages at once, and better than theirs one after the other.
_SCRIPTS = {"Latin": "eng deu fra ita por spa", "Devanagari": "hin", "Thai": "tha"}


@cache
def installed() -> tuple[str, str] | None:
    """The folder of the language files and what of it is used; None where pictures are not read."""
    with suppress(PackageNotFoundError):
        version("tesserocr")
        for folder in (found for pattern in _FOLDERS for found in sorted(Path("/").glob(pattern[1:]), reverse=True)):
            if models := list(_models(folder)):
                return str(folder), "+".join(models)
    return None


def _models(folder: Path) -> Iterator[str]:
    for script, languages in _SCRIPTS.items():
        whole = [one for one in (script, f"script/{script}") if (folder / f"{one}.traineddata").is_file()]
        yield from whole[:1] or [one for one in languages.split() if (folder / f"{one}.traineddata").is_file()]


def about_recognition() -> str:
    """What texts of pictures depend on; equal where the same picture gives the same text."""
    found = installed()
    if found is None:
        return "none"
    sizes = [(Path(found[0]) / f"{one}.traineddata").stat().st_size for one in found[1].split("+")]
    return f"{version('tesserocr')} {found[1]} {sizes}"


def recognise(pixels: bytes, width: int, height: int, bytes_a_line: int) -> str:
    """The text of a page in shades of grey, a byte a pixel; there must be something installed."""
    reader = _reader()
    reader.SetImageBytes(pixels, width, height, 1, bytes_a_line)
    reader.SetSourceResolution(DOTS_PER_INCH)
    try:
        return str(reader.GetUTF8Text()).strip()
    finally:
        reader.Clear()


@cache
def _reader() -> Any:
    """Takes a second to load, once in a worker."""
    import tesserocr  # type: ignore[import-untyped]  # it ships no types

    found = installed()
    assert found is not None
    return tesserocr.PyTessBaseAPI(path=found[0], lang=found[1])


def read_picture(content: bytes, form: str) -> Text | Failure:
    """The text in a picture; of a TIFF, that of all its pages."""
    if installed() is None:
        return Failure(Reason.UNSUPPORTED, f"a picture ({form}), which is read with the extra `ocr` only")
    from PIL import Image, ImageSequence, UnidentifiedImageError

    Image.MAX_IMAGE_PIXELS = MOST_PIXELS // 2  # it warns above this, and fails above twice as many
    try:
        with Image.open(io.BytesIO(content), formats=[form]) as picture:
            texts = []
            for number, frame in enumerate(ImageSequence.Iterator(picture)):
                if number == MOST_FRAMES:
                    return Failure(Reason.UNSUPPORTED, f"{form} of more than {MOST_FRAMES} pages")
                grey = frame.convert("L")
                texts.append(recognise(grey.tobytes(), grey.width, grey.height, grey.width))
    except Image.DecompressionBombError:
        return Failure(Reason.TOO_LARGE, f"{form} of more than {MOST_PIXELS} pixels")
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError):
        return Failure(Reason.DAMAGED, f"{form} that cannot be read: it was cut short or is damaged")
    seen = [text for text in texts if text]
    if not seen:
        return Failure(Reason.NO_TEXT, f"{form} in which no text was recognised")
    about = {"pages": len(texts), "recognised_pages": len(seen), "unread_parts": len(texts) - len(seen)}
    return Text("\n\n".join(seen), None, form, None, None, None, **about)
