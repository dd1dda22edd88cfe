"""Bytes of a document of any supported format -> its text and what it says about itself."""

from pipeline.extraction.reading import extract, read_plain
from pipeline.extraction.values import Bounds, Text

__all__ = ["Bounds", "Text", "extract", "read_plain"]
