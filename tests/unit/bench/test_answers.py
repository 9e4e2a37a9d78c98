"""Answers of HTTP/1.1, whole and in part."""

import pytest

from bench.answers import NoAnswer, chunked, content, fields


def test_names_are_in_lower_case() -> None:
    """Of a repeated field the last counts; white space around a value does not."""
    assert fields(b"HTTP/1.1 200 OK\r\nA-B: 1\r\na-b:  2 \r\nC:") == {"a-b": "2", "c": ""}


def test_content_ends_where_its_head_says() -> None:
    """With a length, without one at the end of the connection, never with 204; what is no length is no answer."""
    assert content(200, {"content-length": "2"}, memoryview(b"abc"), ended=False) == b"ab"
    assert content(200, {"content-length": "4"}, memoryview(b"abc"), ended=True) is None
    assert content(200, {}, memoryview(b"abc"), ended=False) is None
    assert content(200, {}, memoryview(b"abc"), ended=True) == b"abc"
    assert content(204, {"content-length": "4"}, memoryview(b""), ended=False) == b""
    with pytest.raises(NoAnswer, match="Content-Length: x"):
        content(200, {"content-length": "x"}, memoryview(b""), ended=False)


def test_chunks_may_be_incomplete() -> None:
    """Then the body is not whole yet."""
    whole = b"3\r\nabc\r\n0\r\n\r\n"
    assert [chunked(whole[:at]) for at in range(11)] == [None] * 11
    assert chunked(whole) == b"abc"
