"""Documents by their uri: what a list names, and what names none."""

from __future__ import annotations

import pytest

from pipeline.sources.reaching import place_of


@pytest.mark.parametrize(
    "text",
    [
        "/a/x y",
        "//a/x y",
        "///a//x y",
        "/a/../a/x y",
        "/a/./x y/",
        "file:///a/x%20y",
        "file:///b/../%61/x y",
        "/../a/x y",
    ],
)
def test_a_file_has_one_uri(text: str) -> None:
    """However its path is written, it is one document."""
    assert place_of(text, local=True) == "file:///a/x%20y"


@pytest.mark.parametrize("text", ["s3://b/a/../a/x", "s3://b//a/x", "s3://b/a/./x", "s3://B_1/a%2Fx"])
def test_a_key_is_taken_as_it_is(text: str) -> None:
    """S3 knows no folders: other letters are another object."""
    assert place_of(text, local=False) == text


def test_bytes_that_are_no_text_name_a_file() -> None:
    """A disk allows them, and a uri of them is percent-encoded."""
    assert place_of("/a/\udce9", local=True) == place_of("file:///a/%E9", local=True) == "file:///a/%E9"


@pytest.mark.parametrize(
    "text",
    [
        "/a\0b",
        "file:///a%00b",
        "/a/\ud800",
        "a/b",
        "file://host/a",
        "http://a/b",
        "s3://b/\ud800",
        "s3://a b/x",
        "s3://b/" + 1_025 * "x",
        "s3://b/",
        "s3://b/x/",
        "s3://b",
    ],
)
def test_what_names_nothing_is_told(text: str) -> None:
    """No path and no key is like that: the row is a failure, and stops nothing."""
    assert place_of(text, local=True) is None


def test_a_list_in_a_bucket_names_no_files() -> None:
    """Whoever writes there must not choose which files of this machine are read."""
    assert place_of("/etc/passwd", local=False) is None
    assert place_of("file:///etc/passwd", local=False) is None
