"""bench.contests.node: the requests each contender gets."""

from bench.contests.node import QUICK, SIZES, resumable, upload


def test_each_contender_gets_the_same_photos() -> None:
    """One multipart request, or one request a photo; each user has an own token."""
    pair = (b"front" * 100, b"back" * 100)
    ((head, body),) = upload("/v1/x")("alice", pair)
    assert b"Content-Length: %d\r\n" % len(body) in head
    assert all(photo in body for photo in pair)
    assert upload("/v1/x")("bob", pair)[0][0] != head
    assert [photo for _, photo in resumable("alice", pair)] == list(pair)
    assert QUICK.pairs.keys() == SIZES.keys()
