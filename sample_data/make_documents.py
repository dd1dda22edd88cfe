"""Write the two sample documents that are too large to commit: one above 128,000 tokens, one of 300 KB without a space.

    python sample_data/make_documents.py FOLDER

writes FOLDER/minutes/harbour-log-en.md, the log of an invented port for a year, and FOLDER/hostile/without-a-space.txt.
Nothing is random: the same parts give the same bytes on every machine. Needs the standard library only.
"""

from __future__ import annotations

import datetime
import hashlib
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
LOG_NAME = "minutes/harbour-log-en.md"
SPACELESS_NAME = "hostile/without-a-space.txt"
SPACELESS_BYTES = 300_000

# A year without a leap day; only its weekdays show.
FIRST_DAY = datetime.date(2023, 1, 1)
DAYS = 365
# Spelled out here, because the names that strftime gives depend on the machine's language.
MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
SEASONS = ("winter", "spring", "summer", "autumn")

# Paragraphs of an ordinary day, as the pools that they draw from.
TRAFFIC = ("arrival", "arrival", "arrival", "departure", "departure", "traffic", "traffic")
YARD = ("works", "works", "works", "incident")
OFFICE = ("office", "office", "office", "office", "nature", "close")

# The dockers' strike stops the traffic and the yard; the storm leaves room for nothing but itself.
STRIKE = ("05-11", "05-16")
STORM = ("11-09", "11-10")

SLOT = re.compile(r"\{(@?)(\d+)-(\d+)\}|\{([a-z-]+)\}")
PREFACE = """# Log of the port of Skerrow Haven

Kept by the duty officers of the Skerrow Haven Port Authority and read to the board at the end of each month. The \
port, its ships and everyone in it are invented.

The entries follow one order: weather and tide, traffic, the yard and the harbour works, and the office. Amounts are \
in the currency of the authority's accounts, times are local, depths are below chart datum.
"""


def number_from(key: str, low: int, high: int) -> int:
    """Return a whole number, low to high inclusive, derived from the key alone."""
    digest = hashlib.sha256(key.encode()).digest()
    return low + int.from_bytes(digest[:8], "big") % (high - low + 1)


def read_pools(text: str) -> dict[str, list[str]]:
    """Return the lines of the parts file by the pool whose `[name]` stands above them."""
    pools: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line.startswith("["):
            lines = pools.setdefault(line.strip("[]"), [])
        elif line and not line.startswith("#"):
            lines.append(line)
    return pools


def read_events(text: str) -> dict[str, list[str]]:
    """Return the events by their day, `MM-DD`."""
    events: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            day, _, event = line.partition(" | ")
            events.setdefault(day, []).append(event)
    return events


@dataclass(slots=True)
class Author:
    """Draws from pools. No line of a pool comes again before all its others have been used."""

    pools: dict[str, list[str]]
    drawn: dict[str, int] = field(default_factory=dict)
    numbers: int = 0

    def draw(self, pool: str) -> str:
        """Return the next line of the pool, with its slots filled."""
        count = self.drawn.get(pool, 0)
        self.drawn[pool] = count + 1
        lines = self.pools[pool]
        lap, position = divmod(count, len(lines))
        order = sorted(range(len(lines)), key=lambda line: number_from(f"{pool}/{lap}/{line}", 0, 2**62))
        return SLOT.sub(self._fill, lines[order[position]])

    def _fill(self, slot: re.Match[str]) -> str:
        clock, low, high, pool = slot.groups()
        if pool:
            return self.draw(pool)
        self.numbers += 1
        number = number_from(f"number/{self.numbers}", int(low), int(high))
        return f"{number:02}:{number_from(f'minute/{self.numbers}', 0, 11) * 5:02}" if clock else str(number)

    def paragraph(self, pools: tuple[str, ...]) -> str:
        return " ".join(capitalised(self.draw(pool)) for pool in pools)


def capitalised(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


def season(day: datetime.date) -> str:
    """Return the season by whole months: winter is December to February."""
    return SEASONS[day.month % 12 // 3]


def entry(author: Author, day: datetime.date, events: list[str]) -> str:
    """Return the Markdown of one day. On Sundays the office is closed, and the yard rests unless something happened."""
    heading = f"### {WEEKDAYS[day.weekday()]}, {day.day} {MONTHS[day.month - 1]}"
    date = f"{day:%m-%d}"
    if STORM[0] <= date <= STORM[1]:
        return "\n\n".join([heading, *events])
    weather = author.paragraph((f"sky-{season(day)}", "wind", "tide"))
    if STRIKE[0] <= date <= STRIKE[1]:
        return "\n\n".join([heading, weather, *events, author.paragraph(OFFICE)])
    sunday = day.weekday() == 6
    traffic = author.paragraph(("arrival", "traffic", "traffic") if sunday else TRAFFIC)
    yard = author.paragraph(("incident",) if sunday else YARD)
    office = author.paragraph(("nature", "close") if sunday else OFFICE)
    return "\n\n".join([heading, weather, traffic, *events, yard, office])


def harbour_log(parts: str, stories: str) -> str:
    """Return the whole log, about 700 KB, from the texts of the two files of hand-written parts."""
    author = Author(read_pools(parts))
    events = read_events(stories)
    pieces = [PREFACE.rstrip()]
    for offset in range(DAYS):
        day = FIRST_DAY + datetime.timedelta(days=offset)
        if day.day == 1:
            pieces.append(f"## {MONTHS[day.month - 1]}")
        pieces.append(entry(author, day, events.get(f"{day:%m-%d}", [])))
    return "\n\n".join(pieces) + "\n"


def spaceless_text(size_bytes: int) -> str:
    """Return letters and digits without any white space, each piece the sha256 of the one before it."""
    pieces: list[str] = []
    digest = b"docbatch"
    while len(pieces) * 64 < size_bytes:
        digest = hashlib.sha256(digest).digest()
        pieces.append(digest.hex())
    return "".join(pieces)[:size_bytes]


def write_documents(folder: Path) -> tuple[Path, Path]:
    """Write both documents under the folder, which need not exist, and return their paths."""
    parts = (HERE / "harbour_log_parts.txt").read_text(encoding="utf-8")
    stories = (HERE / "harbour_log_events.txt").read_text(encoding="utf-8")
    texts = {LOG_NAME: harbour_log(parts, stories), SPACELESS_NAME: spaceless_text(SPACELESS_BYTES)}
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        # Bytes, because write_text would write other line ends on Windows.
        path.write_bytes(text.encode())
    return folder / LOG_NAME, folder / SPACELESS_NAME


def main(arguments: list[str]) -> int:
    """Return the exit code: 0, or 2 if the folder was not named."""
    if len(arguments) != 1:
        sys.stderr.write("usage: make_documents.py FOLDER\n")
        return 2
    for path in write_documents(Path(arguments[0])):
        sys.stdout.write(f"{path} {path.stat().st_size} bytes\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
