"""The part of one's own catalogue file that `docbatch prices refresh` writes; the rest of the file is its owner's."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pipeline.money.price_list import Change
from pipeline.prices import Price

BEGIN = "# begin: prices of AWS, added by docbatch prices refresh; what you write below stands above them"
END = "# end: prices of AWS"


def refreshed_part(text: str) -> str:
    """What refresh has written before, without its first and last line; empty when it never has."""
    return text.partition(BEGIN + "\n")[2].partition(END)[0]


def with_changes(text: str, found: Iterable[Change]) -> str:
    """The file with more prices behind those that refresh has written; older ones stay, for runs of older dates."""
    added = "".join(_entry(change) for change in found)
    if BEGIN in text:
        return text.replace(END, added + END, 1)
    return f"{BEGIN}\n{added}{END}\n" + (f"\n{text}" if text else "")


def write_whole(path: Path, text: str) -> None:
    """The file as a whole or not at all. Raises OSError."""
    beside = path.with_name(path.name + ".new")
    beside.write_text(text, "utf-8")
    beside.replace(path)


def _entry(change: Change) -> str:
    return f'[[model]]\nid = "{change.model_id}"\n\n{_table(change.listed)}\n'


def _table(price: Price) -> str:
    regions = ", ".join(f'"{region}"' for region in price.regions)
    return (
        f'[[model.price]]\nmode = "{price.mode}"\nregions = [{regions}]\ninput_usd = "{price.input_usd:f}"\n'
        f'output_usd = "{price.output_usd:f}"\nsince = {price.since}\nsource = "{price.source}"\n'
    )
