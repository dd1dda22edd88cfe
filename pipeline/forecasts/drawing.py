"""A seeded random sample of documents: more of the larger ones, because more of the cost is in them. Pure: no I/O."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence

from pipeline.domain import Change
from pipeline.forecasts.estimating import Sums
from pipeline.known.comparison import ListedDocument

LEAST_DRAWN = 12  # of a size class, so that it shows how much its documents differ
SEED = 1


def size_stratum(size_bytes: int) -> int:
    """Sizes within a factor of two are one class."""
    return size_bytes.bit_length()


def stratum(document: ListedDocument) -> int:
    return size_stratum(document.size_bytes)


def strata_of(documents: Sequence[ListedDocument]) -> dict[int, Sums]:
    """How many documents and bytes there are in each class, none of them sampled."""
    found: dict[int, tuple[int, int]] = {}
    for one in documents:
        members, size = found.get(stratum(one), (0, 0))
        found[stratum(one)] = (members + 1, size + one.size_bytes)
    return {key: Sums(*counts) for key, counts in sorted(found.items())}


def draw(documents: Sequence[ListedDocument], number: int, seed: int = SEED) -> list[ListedDocument]:
    """So many of the documents, in their order; all when there are no more. Deleted ones stay.

    The same documents and seed give the same sample. Raises nothing.
    """
    present = [one for one in documents if one.change is not Change.DELETED]
    if len(present) <= number:
        return list(documents)
    classes: dict[int, list[ListedDocument]] = {}
    for one in present:
        classes.setdefault(stratum(one), []).append(one)
    wanted = shares({key: (len(found), sum(one.size_bytes for one in found)) for key, found in classes.items()}, number)
    source = random.Random(seed)  # noqa: S311 - a sample, no secret
    chosen = {one.uri for key in sorted(classes) for one in source.sample(classes[key], wanted[key])}
    return [one for one in documents if one.change is Change.DELETED or one.uri in chosen]


def shares(classes: Mapping[int, tuple[int, int]], number: int) -> dict[int, int]:
    """How many documents to draw of each class, out of (documents, bytes): by the root of their bytes times documents.

    That is between a share by documents, which the fixed part of every prompt asks for, and one by bytes. Each class
    has LEAST_DRAWN first, as far as the number goes.
    """
    least = min(LEAST_DRAWN, number // len(classes))
    drawn = {key: min(members, least) for key, (members, _) in classes.items()}
    weights = {key: math.sqrt(members * max(1, size)) for key, (members, size) in classes.items()}
    while (rest := number - sum(drawn.values())) > 0 and any(drawn[key] < classes[key][0] for key in classes):
        open_keys = [key for key in classes if drawn[key] < classes[key][0]]
        whole = sum(weights[key] for key in open_keys)
        for key in sorted(open_keys, key=lambda key: (-weights[key], key)):
            more = min(classes[key][0] - drawn[key], max(1, int(rest * weights[key] / whole)))
            drawn[key] += min(more, number - sum(drawn.values()))
    return drawn
