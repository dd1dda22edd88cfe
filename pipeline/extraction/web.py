"""Web pages -> Markdown of what is to be read in them: headings and tables are marked, navigation is left out."""

from __future__ import annotations

import re
from collections.abc import Iterator

from selectolax.lexbor import LexborHTMLParser, LexborNode

from pipeline.domain import Failure, Reason
from pipeline.extraction.values import Text, moment, plain_line

_UNREAD = "script, style, template, noscript, nav, header nav, footer, aside, svg, form"
_BLOCKS = "address article blockquote br dd div dl dt figcaption hr li main ol p pre section table tr ul"
_HEADINGS = "h1 h2 h3 h4 h5 h6"
_AUTHORS = 'meta[name="author"], meta[property="article:author"]'
_DATES = 'meta[property="article:published_time"], meta[name="date"], meta[name="dcterms.created"]'
_SPACES = re.compile(r"[ \t\r\f\v]+")
_MARK = re.compile(r"#{1,6} ?")
LEAST_CELLS = 2  # in some row of a table; with fewer it lays out a page


def read_html(raw: str, encoding: str) -> Text | Failure:
    """The visible text, a line a block, the title first; navigation, footers and scripts are left out."""
    tree = LexborHTMLParser(raw)
    title = tree.css_first("title")
    head = title.text().strip() if title else ""
    author, created = _told(tree, _AUTHORS), _told(tree, _DATES)
    for node in tree.css(_UNREAD):
        node.decompose()
    for tag in _BLOCKS.split():
        for node in tree.css(tag):
            node.insert_before("\n")
            node.insert_after("\n")
    for level, tag in enumerate(_HEADINGS.split(), start=1):
        for node in tree.css(tag):
            node.insert_before(f"\n{'#' * level} ")
            node.insert_after("\n")
    for node in tree.css("table:not(:has(table))"):
        _mark(node)
    for node in tree.css("td, th"):
        node.insert_after(" ")
    lines = list(_lines(tree.body.text() if tree.body else ""))
    first = [head] if head and not any(head == _MARK.sub("", line, count=1) for line in lines) else []
    text = "\n".join(first + lines)
    if not text.strip():
        return Failure(Reason.EMPTY, "html without text")
    return Text(text, encoding, "html", plain_line(head), plain_line(author), moment(created))


def _lines(text: str) -> Iterator[str]:
    """Without what is empty; the mark of a heading stands before the first line of it."""
    mark = ""
    for line in text.split("\n"):
        line = _SPACES.sub(" ", line).strip()
        if _MARK.fullmatch(line):
            mark = line + " "
        elif line:
            yield mark + line
            mark = ""


def _mark(table: LexborNode) -> None:
    """Rows of cells as a table of Markdown, whose first row is its head, as it is in the other formats."""
    rows = [[_cell(cell) for cell in row.css("td, th")] for row in table.css("tr")]
    rows = [row for row in rows if any(row)]
    width = max(map(len, rows), default=0)
    if width >= LEAST_CELLS:
        head, *others = (f"| {' | '.join(row + [''] * (width - len(row)))} |" for row in rows)
        table.replace_with("\n".join(["\n", head, "|" + " --- |" * width, *others, "\n"]))


def _cell(node: LexborNode) -> str:
    return " ".join(node.text().split()).replace("|", "\\|")


def _told(tree: LexborHTMLParser, selector: str) -> str | None:
    node = tree.css_first(selector)
    return node.attributes.get("content") if node else None
