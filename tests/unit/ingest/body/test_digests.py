"""ingest.body.digests: right, false and malformed digests, in pieces."""

from base64 import b64encode
from contextlib import nullcontext
from hashlib import sha256, sha512

import pytest

from ingest.body.digests import FIELD_CHARS_MAX, BadDigest, BodyDigest

BODY = b"some bytes of a body"
RIGHT_256 = f"sha-256=:{b64encode(sha256(BODY).digest()).decode()}:"
RIGHT_512 = f"sha-512=:{b64encode(sha512(BODY).digest()).decode()}:"
FALSE_256 = f"sha-256=:{b64encode(sha256(b'x').digest()).decode()}:"


@pytest.mark.parametrize(
    ("lines", "good"),
    [
        ([RIGHT_256], True),
        ([RIGHT_512], True),
        ([f"{RIGHT_256}, {RIGHT_512}"], True),
        ([f"md5=:AAAA:,\t{RIGHT_256};p=1", RIGHT_512], True),
        ([FALSE_256], False),
        ([RIGHT_512, FALSE_256], False),
        ([f"{RIGHT_256},{FALSE_256}"], False),
    ],
)
@pytest.mark.parametrize("step", [1, 100])
def test_each_digest_that_is_known_must_be_right(lines: list[str], step: int, *, good: bool) -> None:
    """One or several, on one line or more; of one that comes twice the last counts (RFC 8941)."""
    digest = BodyDigest({"Content-Digest": lines})
    assert digest
    for start in range(0, len(BODY), step):
        digest.update(memoryview(BODY)[start : start + step])
    if good:
        digest.check()
    else:
        with pytest.raises(BadDigest, match="does not have the sha-256"):
            digest.check()


@pytest.mark.parametrize("lines", [[], ["md5=:AAAA:"], ["SHA-256=x"], ["xsha-256=:AAAA:"]])
def test_without_a_known_algorithm_there_is_nothing_to_check(lines: list[str]) -> None:
    """The caller decides what that means."""
    assert not BodyDigest({"Content-Digest": lines})


@pytest.mark.parametrize("line", ["sha-256=:AAAA:", "sha-256=:A:", "sha-512=::", "x" * (FIELD_CHARS_MAX + 1)])
def test_what_cannot_be_a_digest_is_refused_before_the_body(line: str) -> None:
    """Too short, not base64, too long."""
    with pytest.raises(BadDigest):
        BodyDigest({"Content-Digest": [line]})


def test_the_digests_of_both_fields_must_be_right() -> None:
    """A ticket is bound to one of them: the other must not take its place."""
    both = BodyDigest({"Content-Digest": [FALSE_256], "Repr-Digest": [RIGHT_256]})
    both.update(BODY)
    with pytest.raises(BadDigest, match="sha-256 of its Content-Digest"):
        both.check()
    both = BodyDigest({"Content-Digest": [RIGHT_256], "Repr-Digest": [RIGHT_512]})
    both.update(BODY)
    both.check()


@pytest.mark.parametrize("line", [RIGHT_256, FALSE_256])
def test_an_idle_digest_is_checked_only_if_it_began(line: str) -> None:
    """From the first byte on, although it takes the body only now; to begin again, or what is not idle, is nothing."""
    idle, begun, busy = (BodyDigest({"Content-Digest": [line]}, idle=idle) for idle in (True, True, False))
    for digest in (idle, begun, busy):
        digest.update(BODY[:5])
    for digest in (begun, busy, begun):
        digest.begin(BODY[:5])
    for digest in (idle, begun, busy):
        digest.update(BODY[5:])
    idle.check()
    for digest in (begun, busy):
        with nullcontext() if line == RIGHT_256 else pytest.raises(BadDigest):
            digest.check()
