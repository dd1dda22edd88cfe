"""Pages as bytes: every text escaped, the unknown told as such, the same input to the same bytes, and small."""

from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path

import pytest

from pipeline.reports.charts import pictures_of
from pipeline.reports.daily import trend
from pipeline.reports.figures import RunPoint, answered_by, by_day, drift, page_name
from pipeline.reports.pages import run_page, trend_page
from pipeline.reports.repeating import again_says, commands
from pipeline.reports.trends import MOST_RUNS, points_of
from tests.published import START
from tests.reports.nights import ANALYSES, HOSTILE, Night, figures_of

MOST_BYTES = 3_000_000
# What the templates and the charts consist of; anything else came out of a text.
TEXT = "a br caption code dd dl dt figcaption h1 h2 h3 li p pre span summary table tbody td th thead tr ul"
FRAME = "body details div figure footer head header html link main meta nav section style title"
ELEMENTS = set(f"{TEXT} {FRAME} g line path svg text".split(" "))


class Markup(HTMLParser):
    """The elements and attributes of a page, and its texts."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.elements: set[str] = set()
        self.attributes: set[str] = set()
        self.targets: list[str] = []
        self.texts: list[str] = []
        self.spoken: list[str] = []  # instead of a chart, to readers of the screen
        self.feed(page.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.spoken += [value or "" for name, value in attrs if name == "aria-label"]
        self.targets += [value or "" for name, value in attrs if name in {"href", "src"}]

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Of a night in which every text of documents and models is hostile, after one before."""
    nights = [Night(f"hostile-{day}", 44, day=day, hostile=HOSTILE) for day in range(2)]
    return run_page(figures_of(tmp_path_factory.mktemp("hostile"), *nights))


def test_no_text_becomes_markup(page: bytes) -> None:
    """Names of documents, answers, labels and details are text: no element, event or target comes out of them."""
    found = Markup(page)
    assert found.elements == ELEMENTS
    assert not {name for name in found.attributes if name.startswith("on")} | (found.attributes & {"src", "onerror"})
    assert all(re.fullmatch(r"#[\w-]+|data:,|index\.html", target) for target in found.targets)
    for text in ("<script>window.ran = true</script>", "{{ 7 * 7 }}{% raw %}&lt;b&gt;", "javascript:window.ran=true//"):
        assert any(text in one for one in found.texts), text
    assert b"49" not in re.findall(rb"\{\{ 7 \* 7 \}\}|49\{%", page)


def test_a_page_asks_for_nothing(page: bytes) -> None:
    """No address is in it but those of documents as text; it forbids every request and every script."""
    assert b"default-src 'none'" in page
    assert not re.search(rb"url\(|@import|<script|<iframe|<object|xlink", page)


def test_the_same_figures_give_the_same_bytes(tmp_path: Path) -> None:
    """Nothing of a page is of the moment or by chance."""
    found = figures_of(tmp_path, Night("again", 30))
    assert run_page(found) == run_page(found)


def test_an_unknown_cost_is_unknown(tmp_path: Path) -> None:
    """A run without prices has no dollar on its page, not even none."""
    texts = "".join(Markup(run_page(figures_of(tmp_path, Night("unpriced", 30, priced=False)))).texts)
    assert "unknown" in texts
    assert "$" not in texts.partition("To do it again")[0].split("</style>")[-1].replace("$~", "")


def test_a_run_without_anything_to_show_has_a_page(tmp_path: Path) -> None:
    """No documents, no results, no failures: the page says so."""
    texts = "".join(Markup(run_page(figures_of(tmp_path, Night("empty", 0)))).texts)
    assert "Nothing was sent." in texts
    assert "Every document that was asked about has a result." in texts
    assert "Results to read" not in texts


def test_without_samples_no_answer_is_on_the_page(tmp_path: Path) -> None:
    """With the setting at 0 no text that a model wrote is left but labels."""
    night = Night("silent", 30)
    with_samples, without = (run_page(figures_of(tmp_path / str(most), night, samples=most)) for most in (3, 0))
    assert b"A summary of" in with_samples
    assert b"A summary of" not in without
    assert b"Results to read" not in without


def test_what_to_type_can_be_typed() -> None:
    """The command that repeats a run quotes what a shell would take apart, and names what was chosen."""
    row = Night("first", 11, replaced={"source_uri": "file:///tmp/my%20docs", "budget_usd": Decimal("2.50")}).run_row()
    run, *shows, costs = commands(row | {"run_key": "first"})
    assert run == (
        "docbatch run '/tmp/my docs' --output /out --run-date 2026-11-01 --model llama "
        "--analyses classification,sentiment,summarization --output-language English --budget-usd 2.5"
    )
    assert shows[0] == "docbatch show classification --run-key first --output /out"
    assert costs == "docbatch costs --by run,analysis --output /out"


def test_several_sources_and_budgets_are_typed_one_by_one() -> None:
    """As they were chosen; each source is a word of its own."""
    row = Night("first", 11, replaced={"source_uri": "file:///tmp/my%20docs | s3://letters/2026"}).run_row()
    budgets = {"budget_day_usd": Decimal("5.00"), "budget_month_usd": Decimal(60)}
    run = commands(row | {"run_key": "first"} | budgets)[0]
    assert run.startswith("docbatch run '/tmp/my docs' s3://letters/2026 --output ")
    assert run.endswith(" --budget-day-usd 5 --budget-month-usd 60")


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({}, ["classification ffffffffffff", "set DOCBATCH_PROMPTS", "baseline answers", "runs/first/run.json"]),
        ({"model": "llama3.1:8b"}, ["llama3.1:8b answered: set DOCBATCH_ENGINE"]),
        ({"not_selected": 1}, ["1 document of the source had been left out by --include"]),
        ({"left_out": 7}, ["--sample and --seed"]),
    ],
)
def test_what_no_option_says_is_told(changed: dict[str, object], told: list[str]) -> None:
    """Own prompts, the engine, what was selected; and where the rest is to be found."""
    text = " ".join(again_says(Night("first", 11).run_row() | {"run_key": "first"} | changed))
    assert [one for one in told if one not in text] == []


def test_prompts_that_ship_are_told_from_others() -> None:
    """By their fingerprints: whoever has docbatch has them."""
    row = Night("first", 11).run_row() | {"run_key": "first", "model": "llama"}
    row["analyses"][0]["prompt_fingerprint"] = ANALYSES["classification"].fingerprint
    text = " ".join(again_says(row))
    assert "ship with docbatch 0.1.0 asked for: classification." in text
    assert "sentiment ffffffffffff, summarization ffffffffffff" in text
    assert "DOCBATCH_ENGINE" not in text


def test_a_large_run_has_a_small_page(tmp_path: Path) -> None:
    """100,000 documents with three analyses, six kinds of failure and hostile names: a page for a phone."""
    figures = figures_of(tmp_path, Night("large", 100_000, hostile=HOSTILE, with_ledger=False))
    page = run_page(figures)
    assert figures.arrivals.new + figures.arrivals.changed + figures.arrivals.again == 100_000
    assert len(page) < MOST_BYTES


def point(number: int, **changed: object) -> RunPoint:
    ended = START + dt.timedelta(days=number)
    plain = {"run_key": f"run-{number}", "run_date": ended.date(), "ended": ended, "documents": 10, "results": 25}
    counts = {"failures": number % 5, "unchanged": 0, "cost_usd": Decimal(number) / 1000, "drifts": {"mood": 0.1}}
    return RunPoint(**(plain | counts | changed))  # type: ignore[arg-type] # of the right kinds


def test_the_trend_of_a_thousand_runs_is_small() -> None:
    """A row and a mark for each of 1,000 days, and links to those that have a page."""
    points = tuple(point(number) for number in range(MOST_RUNS))
    page = trend_page(points, {"run-7"})
    assert len(page) < 2_000_000
    assert page.count(b'<a href="run-') == 1
    assert trend_page(points, {"run-7"}) == page


@pytest.mark.parametrize(("drawn", "told"), [({"run-1", "run-2"}, False), ({"run-2"}, True)])
def test_how_to_draw_a_page_is_told_where_one_is_missing(drawn: set[str], told: bool) -> None:
    """A list in which every run has a link says nothing of runs without."""
    page = trend_page((point(1), point(2)), drawn)
    assert (b"docbatch report RUN" in page) == told


def test_a_day_with_an_unknown_cost_has_none() -> None:
    """The sum of a day is unknown where a part is; the page says at least, and has no mark for the day."""
    points = (point(1), point(1, run_key="other", cost_usd=None), point(2))
    days = by_day(points)
    assert [(one.runs, one.cost_usd) for one in days] == [(2, None), (1, Decimal("0.002"))]
    assert [one.failure_share for one in days] == [2 / 52, 2 / 27]
    texts = "".join(Markup(trend_page(points, set())).texts)
    assert "at least $0.003" in texts
    assert "Unknown on 1 day." in texts


def test_a_day_shows_the_largest_drift_of_its_runs() -> None:
    """A run that departed is not hidden by a later one of the same day."""
    (day,) = by_day((point(1, drifts={"mood": 0.8, "kind": 0.1}), point(1, run_key="later", drifts={"mood": 0.2})))
    assert day.drifts == {"mood": 0.8, "kind": 0.1}


def test_suspect_runs_are_marked() -> None:
    """On the page over all runs, with what departed, which is text whatever a model called its labels."""
    why = ("sentiment: label '<script>' 82.4%; usual is 20.1% to 35.0%",)
    suspects = [point(number, quality="suspect", departures=why) for number in range(2, 9)]
    page = trend_page((point(0), point(1, quality="usual"), *suspects), {"run-8"})
    texts = Markup(page).texts
    assert [one for one in texts if one in ("suspect", "usual", "not judged")] == ["suspect"] * 7 + [
        "usual",
        "not judged",
    ]
    assert sum("82.4%" in one for one in texts) == 5
    assert any("2 more runs are suspect" in one for one in texts)
    assert "script" not in Markup(page).elements
    assert b"uspect" not in trend_page((point(0), point(1, quality="usual")), set()).partition(b"</style>")[2]


def test_suspect_days_are_marked_in_every_chart() -> None:
    """By a shape above the day and by words, in the table as well; a page without any has neither."""
    runs = (point(0), point(1, quality="suspect"), point(1, run_key="again", quality="suspect"), point(2))
    marked, plain = (trend(by_day(some)) for some in (runs, (point(0), point(1), point(2))))
    assert len(marked) == len(plain) == 4
    for one, other in zip(marked, plain, strict=True):
        assert one.svg.count("<path") == other.svg.count("<path") + 1
        assert one.note.startswith("▼ a day with a suspect run.")
        assert one.says.endswith("Suspect: 2026-11-02.")
        assert [row[2] for row in one.rows] == ["", "▼ 2", ""]
        assert "▼" not in other.note
        assert {len(row) for row in other.rows} == {2}
    many = trend(by_day(tuple(point(number, quality="suspect") for number in range(7))))
    assert many[0].says.endswith("2026-11-06, 2026-11-07 and 2 more days.")


def test_charts_over_days_have_the_same_days() -> None:
    """Also where a value is unknown, on the first or the last day, so that one chart can be laid over the next."""
    points = (point(1, cost_usd=None), point(2), point(3), point(4, drifts={}))
    below = [re.findall(r">(\d\d \w{3} \d\d)</text>", one.svg) for one in trend(by_day(points))]
    assert len(below) == 4
    assert below == [["02 Nov 26", "03 Nov 26", "04 Nov 26", "05 Nov 26"]] * 4


def test_no_sentence_repeats_a_chart(tmp_path: Path) -> None:
    """What a chart shows is told to readers of the screen and in a folded table; the note has what it does not show."""
    figures = figures_of(tmp_path, Night("before", 60), Night("run", 107, day=4))
    pictures = [one for section in pictures_of(figures).values() for one in section]
    assert len(pictures) == 8
    assert all(one.says not in one.note and not re.search(r"\$|\d{2},?\d", one.note) for one in pictures)
    texts = "".join(Markup(run_page(figures)).texts)
    assert [one.title for one in pictures if one.says in texts] == []
    assert "of the results would need another label to be as in the run before." in texts
    assert "Ticks: the run before." in texts


def test_rows_of_runs_say_which_are_suspect() -> None:
    """A version that did not judge has neither."""
    judged = {"quality": "suspect", "departures": ["sentiment: label 'mixed' 80%"]}
    rows = [Night("a", 22).run_row() | {"run_key": "a"}, Night("b", 22, day=1).run_row() | {"run_key": "b"} | judged]
    first, second = points_of(rows)
    assert (first.quality, first.departures, first.is_suspect) == (None, (), False)
    assert (second.departures, second.is_suspect) == (tuple(judged["departures"]), True)


@pytest.mark.parametrize(
    ("numbers", "told"),
    [
        ([3], ["1 run on 1 day, 2026-11-04.", "On 2026-11-04: $0.003000."]),
        ([3, 3], ["2 runs on 1 day, 2026-11-04.", "On 2026-11-04: $0.006000."]),
        (
            [3, 4],
            ["2 runs on 2 days, 2026-11-04 to 2026-11-05.", "between $0.003000 and $0.004000, the last $0.004000."],
        ),
    ],
)
def test_few_days_are_told_as_they_are(numbers: list[int], told: list[str]) -> None:
    """One is one, and what is the same is not said to lie between."""
    page = Markup(trend_page(tuple(point(number) for number in numbers), set()))
    texts = "".join((*page.texts, *page.spoken))
    assert [one for one in told if one not in texts] == []


def test_ticks_differ() -> None:
    """A day stands once below the axis, and a share has the digits that tell it from the next."""
    for numbers in ([3], [3, 4], [1, 3, 20]):
        for one in trend(by_day(tuple(point(number, failures=1, results=50) for number in numbers))):
            ticks = re.findall(r">([^<>]+)</text>", one.svg)
            assert len(ticks) == len(set(ticks)) > 2, ticks


def test_what_stands_in_for_the_model_is_told() -> None:
    """As the README does: the engine of the embedded stack is not Llama."""
    row = {"model": "baseline", "priced_as": "llama"}
    assert "baseline is not Llama" in answered_by(row)
    assert answered_by(row | {"model": "llama3.1:8b"}) == "Answered by llama3.1:8b, priced as llama"


def test_no_runs_have_a_trend_of_their_own() -> None:
    """An output without any run says so."""
    assert b"Nothing was published yet." in trend_page((), set())


@pytest.mark.parametrize(
    ("now", "before", "expected"),
    [
        ({"a": 1, "b": 1}, {"a": 50, "b": 50}, 0.0),
        ({"a": 4}, {"b": 9}, 1.0),
        ({"a": 3, "b": 1}, {"a": 1, "b": 1}, 0.25),
        ({}, {"a": 1}, None),
        ({"a": 0}, {"a": 1}, None),
    ],
)
def test_drift_is_the_share_that_would_have_to_change(
    now: dict[str, int], before: dict[str, int], expected: float | None
) -> None:
    """From 0, the same shares, to 1, no label in common; nobody knows without rows."""
    assert drift(now, before) == expected


def test_labels_are_compared_with_the_newest_run_that_has_any() -> None:
    """A night that wrote no result of an analysis stands between two that did."""
    nights = [Night("a", 22), Night("b", 0, day=1), Night("c", 25, day=2)]
    points = points_of([night.run_row() | {"run_key": night.run_key} for night in nights])
    assert [set(one.drifts) for one in points] == [set(), set(), {"classification", "sentiment"}]
    counts = [{one["label"]: one["results"] for one in night.labels("sentiment")} for night in (nights[0], nights[2])]
    assert points[2].drifts["sentiment"] == drift(*counts) != 0


def test_no_run_takes_the_place_of_the_trend() -> None:
    """A run may be called `index`."""
    assert page_name("index") != "index.html"
    assert page_name("first") == "first.html"
