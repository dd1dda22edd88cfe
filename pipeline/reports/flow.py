"""Where the nodes and bands of a flow lie, in pixels: what came in at the left, how it ended at the right."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

NODE = 12.0  # pixels across
LEFT_TEXT, RIGHT_TEXT, CHARACTER, GAP = 68.0, 90.0, 6.8, 6.0  # beside the nodes; at the right more where it is needed
THINNEST_BAND, THINNEST_NODE = 1.5, 4.0  # one in 100,000 is still seen
LINE, LINES = 15.0, 32.0  # from one label to the next, of one line and of two
NAME = 20.0  # above the nodes of an analysis
BETWEEN, BELOW, APART = 2.0, 14.0, 10.0  # the nodes of an analysis, the analyses, the nodes at the left
TALLEST, LOWEST, ALL = 150.0, 36.0, 330.0  # an analysis with all its documents; all of them, where they fit
STEPS = 10  # of a curve

Key = tuple[str, str, str]  # what came in, the analysis, how it ended there


@dataclass(frozen=True, slots=True)
class Node:
    """Documents of one kind; the lines that it `says` stand beside it."""

    key: str
    documents: int
    says: tuple[str, ...]
    colour: str


@dataclass(frozen=True, slots=True)
class Group:
    """How the documents ended in one analysis."""

    name: str
    nodes: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Box:
    """A node as it is drawn."""

    left: float
    top: float
    bottom: float
    colour: str

    @property
    def right(self) -> float:
        return self.left + NODE

    @property
    def middle(self) -> float:
        return (self.top + self.bottom) / 2


@dataclass(frozen=True, slots=True)
class Band:
    """A stream as it is drawn: x, upper and lower edge of each point of its curve."""

    points: tuple[tuple[float, float, float], ...]
    colour: str
    loud: bool


@dataclass(frozen=True, slots=True)
class Label:
    """A text that begins at x, or ends there where it is `before`; y is its middle, `room` the pixels that it has."""

    x: float
    y: float
    text: str
    room: float
    before: bool = False
    strong: bool = False


@dataclass(frozen=True, slots=True)
class Flow:
    """Everything that is drawn; nodes and bands in the order of what they were laid out from."""

    width: float
    height: float
    boxes: tuple[Box, ...]
    bands: tuple[Band, ...]
    labels: tuple[Label, ...]


def laid_out(
    came: Sequence[Node], groups: Sequence[Group], streams: Mapping[Key, int], width: float, loud: str
) -> Flow:
    """The picture of streams: each document once for every analysis, so that it flows into all of them.

    A node is as tall as its bands together. A band has the colour of what came in; where it ends in a node with the
    key `loud`, it has the colour of that, and lies above the others. Nodes without documents are left out.
    """
    came = [one for one in came if one.documents]
    groups = [replace(one, nodes=tuple(node for node in one.nodes if node.documents)) for one in groups]
    ways = [(source, group, node) for source in came for group in groups for node in group.nodes]
    colours = {(one.key, group.name, node.key): (node if node.key == loud else one).colour for one, group, node in ways}
    pixels = _pixels(sum(one.documents for one in came), len(groups))
    thick = {key: max(THINNEST_BAND, streams[key] * pixels) for key in colours if streams.get(key)}
    heights = _left(came, thick, 0.0).end, _right(groups, thick, width, 0.0).end
    left, right = (
        _left(came, thick, (max(heights) - heights[0]) / 2),
        _right(groups, thick, width, (max(heights) - heights[1]) / 2),
    )
    bands = sorted(_bands(thick, left.boxes, right.boxes, colours, loud), key=lambda one: one.loud)
    boxes = (*left.boxes.values(), *right.boxes.values())
    return Flow(width, max(heights), boxes, tuple(bands), (*left.labels, *right.labels))


@dataclass(frozen=True, slots=True)
class _Column:
    """The nodes of one side by their keys, their labels, and where it ends."""

    boxes: Mapping[tuple[str, ...], Box]
    labels: tuple[Label, ...]
    end: float


def _pixels(documents: int, groups: int) -> float:
    """Of a document in one analysis."""
    return min(TALLEST, max(LOWEST, ALL / max(groups, 1))) / max(documents, 1)


def _height(bands: Iterable[float]) -> float:
    return max(THINNEST_NODE, sum(bands))


def _left(came: Sequence[Node], thick: Mapping[Key, float], top: float) -> _Column:
    """A node below the other, as far apart as their labels need."""
    boxes: dict[tuple[str, ...], Box] = {}
    labels: list[Label] = []
    least = top + LINES / 2  # of the next middle
    for one in came:
        height = _height(pixels for key, pixels in thick.items() if key[0] == one.key)
        top = max(top, least - height / 2)
        box = boxes[one.key,] = Box(LEFT_TEXT, top, top + height, one.colour)
        first = box.middle - LINE * (len(one.says) - 1) / 2
        labels += [
            Label(LEFT_TEXT - GAP, first + LINE * number, text, LEFT_TEXT - GAP, before=True, strong=not number)
            for number, text in enumerate(one.says)
        ]
        top, least = box.bottom + APART, box.middle + LINES
    return _Column(boxes, tuple(labels), max(top - APART, least - LINES / 2))


def _right(groups: Sequence[Group], thick: Mapping[Key, float], width: float, top: float) -> _Column:
    """The nodes of an analysis close together below its name; labels move down where nodes are too thin for them."""
    longest = max((len(" ".join(node.says)) for group in groups for node in group.nodes), default=0)
    room = max(RIGHT_TEXT, CHARACTER * longest + GAP)
    left = width - room - NODE
    boxes: dict[tuple[str, ...], Box] = {}
    labels: list[Label] = []
    for group in groups:
        labels.append(Label(left, top + LINE / 2, group.name, room + NODE, strong=True))
        top += NAME
        least = top + LINE / 2
        for node in group.nodes:
            way = (group.name, node.key)
            height = _height(pixels for key, pixels in thick.items() if key[1:] == way)
            box = boxes[way] = Box(left, top, top + height, node.colour)
            labels.append(Label(box.right + GAP, y := max(least, box.middle), " ".join(node.says), room - GAP))
            top, least = box.bottom + BETWEEN, y + LINE
        top = max(top - BETWEEN, least - LINE / 2) + BELOW
    return _Column(boxes, tuple(labels), top - BELOW if groups else top)


def _bands(
    thick: Mapping[Key, float],
    left: Mapping[tuple[str, ...], Box],
    right: Mapping[tuple[str, ...], Box],
    colours: Mapping[Key, str],
    loud: str,
) -> Iterator[Band]:
    """From where the one before has left its node to where the one before has reached its own."""
    begun = {key: box.top for key, box in (*left.items(), *right.items())}
    for key, pixels in thick.items():
        ends = (key[:1], key[1:])
        tops = [begun[one] for one in ends]
        begun |= {one: top + pixels for one, top in zip(ends, tops, strict=True)}
        points = _curve(left[ends[0]].right, right[ends[1]].left, tops[0], tops[1], pixels)
        yield Band(points, colours[key], key[2] == loud)


def _curve(x: float, to_x: float, top: float, to_top: float, pixels: float) -> tuple[tuple[float, float, float], ...]:
    """Level where it begins and ends."""
    points = []
    for step in range(STEPS + 1):
        part = step / STEPS
        upper = top + (to_top - top) * part * part * (3 - 2 * part)
        points.append((x + (to_x - x) * part, upper, upper + pixels))
    return tuple(points)
