"""bench.node: from readings to rows, and the requests each contender gets."""

import pytest

from bench.node import AIM, QUICK, SIZES, resumable, row, upload


@pytest.mark.parametrize(("ours", "met"), [(1.0, True), (1.1, False)])
def test_the_ratio_is_to_the_better_peer_of_each_round(ours: float, met: bool) -> None:  # noqa: FBT001 - a parameter
    """Medians are shown, `met` follows from ratio and aim; at the aim itself it is met."""
    found = row("x", {"snapsurge": [ours, ours, 9.0], "textbook": [4.0, 8.0, 99.0], "tusd": [5.0, 4.0, 36.0]}, AIM)

    assert (found.ours, found.peers, found.ratio, found.met) == (ours, {"textbook": 8.0, "tusd": 5.0}, ours / 4, met)


def test_without_an_aim_nothing_is_met() -> None:
    """MinIO's share is there to be read."""
    assert row("x", {"snapsurge": [1.0], "textbook": [2.0]}, None).met is None


def test_each_contender_gets_the_same_photos() -> None:
    """One multipart request, or one request a photo; each user has an own token."""
    pair = (b"front" * 100, b"back" * 100)
    ((head, body),) = upload("/v1/x")("alice", pair)
    assert b"Content-Length: %d\r\n" % len(body) in head
    assert all(photo in body for photo in pair)
    assert upload("/v1/x")("bob", pair)[0][0] != head
    assert [photo for _, photo in resumable("alice", pair)] == list(pair)
    assert QUICK.pairs.keys() == SIZES.keys()
