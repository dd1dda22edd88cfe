"""Text of documents in cells that no spreadsheet takes for a formula."""

from __future__ import annotations

import re

# What begins a formula, or a command of the old DDE: also in full width, small and as the minus sign, which some
# spreadsheets fold to the plain one.
_TRIGGERS = "=+\\-@＝＋－＠﹦﹢﹣﹫−"
# What may stand before it and is skipped: blanks of every kind, marks without width, quotation marks.
_SKIPPED = r"[\s\"'`‘’“”\u200b-\u200f\u2060\ufeff]"
_BEGINS = re.compile(rf"(?:{_SKIPPED}*[{_TRIGGERS}]|[\t\r\n])")
# One with another separator than ours begins a cell inside our text: at a line's end, a tab, a semicolon, a bar.
_BEGINS_INSIDE = re.compile(rf"([\n\r\v\f\x85\u2028\u2029\t;|])(?={_SKIPPED}*[{_TRIGGERS}])")
_LINE_END = re.compile("\r\n?")
_ILLEGAL_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def begins_a_formula(text: str) -> bool:
    """Whether a spreadsheet may take a cell with this text for a formula."""
    return _BEGINS.match(text) is not None


def neutral(text: str) -> str:
    """The text with an apostrophe wherever a spreadsheet may begin a cell and see a formula; else as it is.

    That is at its beginning, and behind a line's end, a tab, a semicolon or a bar inside it.
    """
    inside = _BEGINS_INSIDE.sub(r"\1'", text)
    return f"'{inside}" if begins_a_formula(text) else inside


def legal_in_xml(text: str) -> str:
    """The text with the replacement character for whatever XML cannot hold, and Excel's way to end a line."""
    return _ILLEGAL_IN_XML.sub("\ufffd", _LINE_END.sub("\n", text))
