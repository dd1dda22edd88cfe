"""CSV and XLSX for people without anything else: no text becomes a formula, and types are kept."""

from __future__ import annotations

import csv
import datetime as dt
import io
import zipfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl.utils.escape import unescape

from pipeline.errors import SettingsError
from pipeline.tables.neutral import begins_a_formula, neutral
from pipeline.tables.spreadsheets import MOST_CHARACTERS, write_csv, write_spreadsheet, write_xlsx

ATTACKS = [
    "=1+1",
    "+1+1",
    "-1+1",
    "@SUM(1,1)",
    '=HYPERLINK("http://127.0.0.1/?"&A1,"read me")',
    "=cmd|' /C calc'!A0",
    "@SUM(1+1)*cmd|' /C calc'!A0",
    '=DDE("cmd";"/C calc";"x")',
    '=WEBSERVICE("http://127.0.0.1/"&A1)',
    "＝1+1",
    "＋1",
    "－1",
    "＠SUM(1)",
    "﹦1",
    "−1+1",
    "\t=1+1",
    "\r=1+1",
    "\n=1+1",
    "\u200b=1+1",
    "\ufeff=1+1",
    "\u00a0=1+1",
    "  =1+1",
    '"=1+1',
    "'=1+1",
    '","=1+1',
    '";=1+1;"',
    "a;=1+1",
    "a\t=1+1",
    'a\n"=1+1"',
    "a\r\n=1+1",
    "a\u2028=1+1",
    "a;  @SUM(1)",
    "a|=1+1",
    "a | -1",
    "{=1+1}",
    "http://127.0.0.1/",
    "https://127.0.0.1/ = 1",
    "mailto:a@127.0.0.1",
    "internal:Sheet1!A1",
    "file:///etc/passwd",
    "\\\\127.0.0.1\\share",
]
HARMLESS = [
    "",
    "A lease - of two years.",
    "a, -5 degrees",
    "1 = 1",
    "ü;a",
    "0+1",
    "x@y.z",
    "a\nb",
    "12;34",
    "a|b",
    "{}",
]
SEPARATORS = (",", ";", "\t", "|")
TRIGGERS = "=+-@＝＋－＠﹦﹢﹣﹫−"
TEXT = pa.schema([("id", pa.int64()), ("text", pa.string())])


def csv_of(rows: list[tuple[Any, ...]]) -> str:
    stream = io.StringIO(newline="")
    assert write_csv(stream, ["id", "text"], rows) == len(rows)
    return stream.getvalue()


def cells(text: str, separator: str) -> list[str]:
    """As a spreadsheet with that separator takes a file apart, quotation marks in the middle of a cell included."""
    return [cell for row in csv.reader(io.StringIO(text, newline=""), delimiter=separator) for cell in row]


def is_active(cell: str) -> bool:
    """Whether the cell begins a formula for a spreadsheet that skips blanks and quotation marks."""
    return cell.strip(" \t\r\n\"'\u200b\ufeff\u00a0\u2028")[:1] in [*TRIGGERS] and not cell.startswith("'")


@pytest.mark.parametrize("separator", SEPARATORS)
@pytest.mark.parametrize("attack", ATTACKS)
def test_no_cell_of_a_csv_begins_a_formula(attack: str, separator: str) -> None:
    """Also where the spreadsheet splits by another separator than ours, and so begins cells inside of texts."""
    text = csv_of([(1, attack), (2, f"{attack}{attack}")])
    assert not any(map(is_active, cells(text, separator))), text


@pytest.mark.parametrize("text", HARMLESS)
def test_a_harmless_text_stays_as_it_is(text: str) -> None:
    """Only where a cell may begin is anything added."""
    assert neutral(text) == text
    assert cells(csv_of([(1, text)]), ",") == ["id", "text", "1", text]


@given(st.text(st.sampled_from(f"{TRIGGERS}\n\r;,\"' a|\u200b")))
def test_no_text_gets_through(text: str) -> None:
    """Of any make: no cell begins a formula, and without the apostrophes that were added it is the text."""
    for separator in SEPARATORS:
        assert not any(map(is_active, cells(csv_of([(1, text)]), separator)))
    assert neutral(text).replace("'", "") == text.replace("'", "")
    assert not begins_a_formula(neutral(text)) or neutral(text).startswith("'")


def test_types_in_a_csv() -> None:
    """Numbers are bare, also below zero; null is nothing and an empty text is one; lists are JSON, neutral too."""
    moment = dt.datetime(2026, 11, 23, 2, 0, tzinfo=dt.UTC)
    row = (-1, -0.5, Decimal("-0E-10"), moment, moment.date(), True, None, "", ["=1", 'a";=1'], {"a": Decimal("0.1")})
    stream = io.StringIO(newline="")
    write_csv(stream, [*"abcdefghij"], [row])
    assert stream.getvalue().splitlines()[1] == (
        '-1,-0.5,-0.0000000000,2026-11-23 02:00:00+00:00,2026-11-23,true,,"",'
        '"[""=1"", ""a\\"";\'=1""]","{""a"": ""0.1""}"'
    )


@pytest.fixture(scope="module")
def workbook(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every attack in a cell."""
    path = tmp_path_factory.mktemp("xlsx") / "attacks.xlsx"
    batch = pa.record_batch([[*range(len(ATTACKS))], ATTACKS], schema=TEXT)
    assert write_spreadsheet(path, TEXT, [batch]) == len(ATTACKS)
    return path


def test_no_cell_of_a_workbook_is_a_formula(workbook: Path) -> None:
    """Every text is a string, to the letter; there is no formula, link, name, connection, macro or DDE in any part."""
    sheet = openpyxl.load_workbook(workbook).active
    assert sheet is not None
    rows = list(sheet.iter_rows(min_row=2))
    assert [row[1].value for row in rows] == [text.replace("\r\n", "\n").replace("\r", "\n") for text in ATTACKS]
    assert {(row[0].data_type, row[1].data_type) for row in rows} == {("n", "s")}
    assert all(cell.hyperlink is None for row in rows for cell in row)
    assert all(row[1].quotePrefix == begins_a_formula(text) for row, text in zip(rows, ATTACKS, strict=True))
    with zipfile.ZipFile(workbook) as parts:
        names, content = parts.namelist(), {name: parts.read(name) for name in parts.namelist()}
    unwanted = ("external", "connections", "vba", "sheet1.xml.rels")
    assert not [name for name in names if any(word in name for word in unwanted)]
    assert b"<f>" not in content["xl/worksheets/sheet1.xml"]
    assert content["xl/worksheets/sheet1.xml"].count(b't="inlineStr"') == len(ATTACKS) + 2
    assert not [name for name, part in content.items() if b"hyperlink" in part or b"ddeLink" in part]


def test_types_in_a_workbook(tmp_path: Path) -> None:
    """Numbers, money, days, times in UTC and truth values are what they are; what Excel cannot hold is text."""
    moment = dt.datetime(2026, 11, 23, 2, 0, 1, tzinfo=dt.UTC)
    old = dt.datetime(1850, 1, 1, tzinfo=dt.UTC)
    values = [-5, 0.25, Decimal("0.0000456500"), moment, moment.date(), True, None, ["a"], 2**63 - 1, old]
    schema = pa.schema([(f"c{n}", pa.array([value]).type) for n, value in enumerate(values)])
    path = tmp_path / "types.xlsx"
    assert write_xlsx(path, schema, [values]) == 1
    sheet = openpyxl.load_workbook(path).active
    assert sheet is not None
    found = sheet[2]
    assert [cell.value for cell in found] == [
        *(-5, 0.25, 0.00004565, dt.datetime(2026, 11, 23, 2, 0, 1), dt.datetime(2026, 11, 23), True, None),  # noqa: DTZ001 - Excel has no zone
        *('["a"]', str(2**63 - 1), '"1850-01-01 00:00:00+00:00"'),
    ]
    assert [cell.number_format for cell in found[2:5]] == [
        "0.0000000000",
        'yyyy-mm-dd hh:mm:ss "UTC"',
        "yyyy-mm-dd",
    ]


def test_limits_of_a_workbook(tmp_path: Path) -> None:
    """Long texts are cut and say so, in UTF-16 as Excel counts; letters that XML cannot hold are replaced."""
    texts = ["x" * 40_000, "😀" * 20_000, "x" * MOST_CHARACTERS, "a\x00b\x1b\ufffe", "_x003D_1"]
    path = tmp_path / "limits.xlsx"
    write_xlsx(path, TEXT, [(n, text) for n, text in enumerate(texts)])
    sheet = openpyxl.load_workbook(path).active
    assert sheet is not None
    long, faces, fits, illegal, escaped = (str(row[1].value) for row in sheet.iter_rows(min_row=2))
    assert (len(long), long[-8:]) == (MOST_CHARACTERS, "x … (cut)"[-8:])
    assert len(faces.encode("utf-16-le")) // 2 <= MOST_CHARACTERS
    assert faces.endswith("😀 … (cut)")
    assert (fits, illegal) == (texts[2], "a\ufffdb\ufffd\ufffd")
    assert unescape(escaped) == "_x003D_1"  # as Excel reads it; it stays a text either way


def test_more_rows_than_a_sheet_holds_go_on_in_the_next(tmp_path: Path) -> None:
    """Each sheet has its head."""
    path = tmp_path / "many.xlsx"
    assert write_xlsx(path, TEXT, [(n, "a") for n in range(7)], most_rows=4) == 7
    sheets = openpyxl.load_workbook(path).worksheets
    assert [(sheet.title, sheet.max_row) for sheet in sheets] == [("rows", 4), ("rows 2", 4), ("rows 3", 2)]
    assert [sheet["A1"].value for sheet in sheets] == ["id"] * 3
    assert [row[0].value for sheet in sheets for row in sheet.iter_rows(min_row=2)] == [*range(7)]


def test_a_file_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    """A name of no known kind is refused; an export that breaks off leaves what was there before."""
    with pytest.raises(SettingsError, match=r"rows\.ods: the name must end in \.csv or \.xlsx"):
        write_spreadsheet(tmp_path / "rows.ods", TEXT, [])
    path = tmp_path / "rows.csv"
    path.write_text("before")

    def broken() -> Any:
        yield pa.record_batch([[1], ["a"]], schema=TEXT)
        raise KeyError

    with pytest.raises(KeyError):
        write_spreadsheet(path, TEXT, broken())
    assert [one.name for one in tmp_path.iterdir()] == ["rows.csv"]
    assert path.read_text() == "before"
    write_spreadsheet(path, TEXT, [], bom=False)
    assert path.read_bytes() == b"id,text\r\n"
    write_spreadsheet(path, TEXT, [])
    assert path.read_bytes() == b"\xef\xbb\xbfid,text\r\n"
