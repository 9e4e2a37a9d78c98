"""storage.s3.request: what a change expects, what an answer says to be missing, and the text of a request."""

import pytest

from storage.s3.answer import Answer
from storage.s3.request import Method, Request, announced, asked


def request(method: Method, *, trial: bool = False, **fields: str) -> Request:
    """A request about `k`."""
    named = {name.replace("_", "-"): value for name, value in fields.items()}
    return Request(method, "k", "/b/k", named, (), writes=method == "PUT", now=0.0, until=1.0, trial=trial)


def test_a_change_with_a_condition_expects_an_object_or_none() -> None:
    """A change without one, a test of the store, and a read expect nothing."""
    assert request("PUT", if_none_match="*").expects == ""
    assert request("PUT", if_match='"1"').expects == '"1"'
    assert request("PUT").expects is None
    assert request("PUT", if_none_match="*", trial=True).expects is None
    assert request("GET", if_match='"1"').expects is None


@pytest.mark.parametrize(
    ("method", "answer", "missing"),
    [
        ("GET", Answer(404), True),
        ("HEAD", Answer(404), True),
        ("GET", Answer(200, b"<?xml?><ListBucketResult>"), True),  # what it does not list
        ("GET", Answer(200, b"a photo"), False),
        ("PUT", Answer(200, b"<ListBucketResult>"), False),
        ("GET", Answer(503), False),
    ],
)
def test_what_an_answer_does_not_show_may_be_missing(method: Method, answer: Answer, *, missing: bool) -> None:
    """A 404, and a listing."""
    assert request(method).tells_what_is_missing(answer) is missing


def test_queries_are_sorted_and_quoted_and_bodies_announced() -> None:
    """As the signature needs them; the sum is the CRC-32 of all parts in order."""
    assert asked({"prefix": "a b/ü", "list-type": "2"}) == "?list-type=2&prefix=a%20b%2F%C3%BC"
    assert asked({}) == asked(None) == ""
    assert announced([b"1234", b"56789"]) == {"content-length": "9", "x-amz-checksum-crc32": "y/Q5Jg=="}
