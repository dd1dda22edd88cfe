"""Runs over buckets whose keys break programs: each object is a result or a failure with a reason."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.loop import Looped, run_to_the_end
from pipeline.steps import RunOrder, RunSummary
from pipeline.steps.forecasting import PlanOrder, forecast_source
from pipeline.storage.objects import ObjectStore, S3Access, absolute_uri, open_store
from tests.odd_bucket import BUCKET, ODD, ODDEST, odd_bucket
from tests.world import TODAY, WORK_URI, Unseen, World

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.local.stack import Stack


class S3World(World):
    """The same with documents in a bucket of a server."""

    def __init__(self, folder: Path, source_uri: str, access: S3Access) -> None:
        super().__init__(folder, analyses=("sentiment",))
        self._source_uri, self._access = source_uri, access

    def _open(self, uri: str, *, make: bool = False) -> ObjectStore:
        bucket = "/".join(self._source_uri.split("/")[:3])
        if f"{uri}/".startswith(f"{bucket}/"):
            return open_store(uri, self._access, make=make)
        return super()._open(uri, make=make)

    def night(self, key: str) -> RunSummary:
        order = RunOrder(key, TODAY, self._source_uri, absolute_uri(str(self.output)), WORK_URI)
        return run_to_the_end(self.services, order, Unseen(), Looped(1.0, sleep=lambda _seconds: None))


def text_of(name: str) -> bytes:
    return f"The text of {name!r}.".encode()


def test_every_odd_key_of_the_embedded_s3_has_its_result(
    stack: Stack, client: Callable[..., Any], tmp_path: Path
) -> None:
    """By the uri that is the key as it is; the next night sends nothing, and a changed object alone is read anew."""
    prefix = "odd"
    for name in ODD:
        client("s3").put_object(Bucket=stack.bucket, Key=f"{prefix}/{name}", Body=text_of(name))
    access = S3Access(stack.region, stack.s3_url, stack.access_key_id, stack.secret_access_key)
    world = S3World(tmp_path, f"s3://{stack.bucket}/{prefix}", access)
    first = world.night("one")
    assert (first.documents, first.results, first.failures) == (len(ODD), len(ODD), 0)
    uris = {f"s3://{stack.bucket}/{prefix}/{name}" for name in ODD}
    assert {row["uri"] for row in world.rows("sentiment", "one")} == uris
    calls = len(world.wire.calls)
    second = world.night("two")
    assert (second.requests, second.failures, len(world.wire.calls)) == (0, 0, calls)
    client("s3").put_object(Bucket=stack.bucket, Key=f"{prefix}/line\nend.txt", Body=b"Another text.")
    client("s3").delete_object(Bucket=stack.bucket, Key=f"{prefix}/\x01.txt")
    third = world.night("three")
    assert (third.requests, third.deleted) == (1, 1)
    changes = {row["uri"].rpartition("/")[2]: row["change"] for row in world.rows("documents", "three")}
    assert changes == {"line\nend.txt": "changed", "\x01.txt": "deleted"}


def test_keys_that_no_path_has_end_as_results_or_failures(tmp_path: Path) -> None:
    """What S3 keeps and the embedded one does not, at the root of a bucket; what is refused is a row that says so."""
    refused, marker = "refused\x01/../../x.txt", "marker/"
    objects = {name: text_of(name) for name in (*ODD, *ODDEST, refused)} | {marker: b""}
    with odd_bucket(objects, frozenset({refused})) as url:
        world = S3World(tmp_path, f"s3://{BUCKET}", S3Access("us-west-2", url, "id", "secret"))
        expected = len(ODD) + len(ODDEST)
        forecast = forecast_source(world.services, PlanOrder(f"s3://{BUCKET}"), lambda *_: None)
        assert (forecast.listed, forecast.new) == (expected + 1, expected + 1)
        first = world.night("one")
        assert (first.documents, first.results, first.failures) == (expected + 1, expected, 1)
        results = {row["uri"] for row in world.rows("sentiment", "one")}
        assert results == {f"s3://{BUCKET}/{name}" for name in (*ODD, *ODDEST)}
        hashes = {row["content_hash"] for row in world.rows("documents", "one") if row["failure"] is None}
        assert len(hashes) == expected  # each was read by its own key
        (failure,) = world.rows("failures", "one")
        assert (failure["uri"], failure["reason"]) == (f"s3://{BUCKET}/{refused}", "forbidden")
        assert failure["detail"] == "listed, but S3 takes the key for none: 400 InvalidURI"
        calls = len(world.wire.calls)
        second = world.night("two")
        assert (second.requests, second.failures, len(world.wire.calls)) == (0, 1, calls)
        assert second.unchanged == {"sentiment": expected}


def test_a_list_names_odd_keys_too(tmp_path: Path) -> None:
    """What it does not say is asked of S3 by any key; what is refused or not there is a failure."""
    names = ["line\nend.txt", "a//b.txt", "sub/../dots.txt", "refused/../../x.txt", "gone\n"]
    objects = {name: text_of(name) for name in names[:-1]}
    path = tmp_path / "list.csv"
    path.write_text("uri\n" + "".join(f'"s3://{BUCKET}/{name}x"\n' for name in names))
    with odd_bucket({f"{name}x": text for name, text in objects.items()}, frozenset({f"{names[3]}x"})) as url:
        world = S3World(tmp_path, f"s3://{BUCKET}", S3Access("us-west-2", url, "id", "secret"))
        order = RunOrder("one", TODAY, f"list:{path.as_uri()}", absolute_uri(str(world.output)), WORK_URI)
        pace = Looped(1.0, sleep=lambda _seconds: None)
        summary = run_to_the_end(world.services, order, Unseen(), pace)
        assert (summary.documents, summary.results, summary.failures) == (5, 3, 2)
        assert {row["reason"] for row in world.rows("failures", "one")} == {"forbidden", "vanished"}
