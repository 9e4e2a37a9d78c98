"""storage.s3.hidden: a listing and an object that differ mean that members that are away have the truth."""

from collections.abc import AsyncIterator
from typing import Literal

import pytest

from storage.s3.answer import Answer
from storage.s3.hidden import AWAY, UNREADABLE, hidden
from tests.unit.storage.s3.members import MISSING, Member, becomes, objects_at, put, said

MINE, OTHER = '"1"', '"2"'
SLOW = Answer(503, code="SlowDownRead")
# A health answer of a MinIO with six drives.
HEALTHY = said(200, fields="X-Minio-Write-Quorum: 4\r\n")
LISTS = "<ListBucketResult><Contents><Key>{}</Key><ETag>&quot;9&quot;</ETag></Contents></ListBucketResult>"


def listed(tag: str) -> Answer:
    """A listing of `k` with this entity tag, or of another key only."""
    rows = f"<Contents><Key>{'k' if tag else 'k2'}</Key><ETag>{tag or MINE}</ETag></Contents>"
    return Answer(200, f'<ListBucketResult xmlns="urn:s3">{rows}</ListBucketResult>'.encode())


def head(tag: str) -> Answer:
    """A HEAD of `k`."""
    return Answer(200, head=f"HTTP/1.1 200 x\r\nETag: {tag}\r\n".encode()) if tag else Answer(404, code="404")


@pytest.mark.parametrize(
    ("expected", "listing", "seen", "found"),
    [
        ("", listed(""), None, None),  # nothing is there
        (MINE, listed(MINE), None, None),
        ("", listed(OTHER), head(OTHER), None),  # the store will refuse it
        (MINE, listed(OTHER), head(OTHER), None),
        ("", listed(OTHER), head(""), AWAY),  # an object that would be replaced
        (MINE, listed(OTHER), head(MINE), AWAY),  # an older version that is shown
        (MINE, listed(""), head(MINE), AWAY),
        (MINE, listed(""), head(""), None),
        ("", SLOW, None, SLOW),
        ("", Answer(200, b"<html></html>"), None, UNREADABLE),
        ("", Answer(200, b""), None, UNREADABLE),
        ("", listed(OTHER), SLOW, SLOW),
    ],
)
async def test_what_is_listed_is_compared(
    expected: str, listing: Answer, seen: Answer | None, found: Answer | None
) -> None:
    """The HEAD is sent only where the listing differs from what is expected."""
    asked: list[str] = []

    async def ask(what: Literal["LIST", "HEAD"], key: str) -> Answer:
        assert key == "k"
        asked.append(what)
        answer = listing if what == "LIST" else seen
        assert answer is not None
        return answer

    assert await hidden(ask, "k", expected) is found
    assert asked == ["LIST"] + ["HEAD"] * (seen is not None)


@pytest.fixture
async def members() -> AsyncIterator[list[Member]]:
    """Three members of a MinIO with six drives."""
    seen: set[str] = set()
    made = [Member(seen) for _ in range(3)]
    for one in made:
        one.answers["health"] = HEALTHY
        await one.start()
    yield made
    for one in made:
        await one.stop()


def lists(members: list[Member], key: str = "") -> None:
    """Members list this key or nothing, have no object, and forget what they were asked."""
    text = LISTS.format(key) if key else "<ListBucketResult></ListBucketResult>"
    for one in members:
        one.answers |= {"LIST": f"HTTP/1.1 200 x\r\nContent-Length: {len(text)}\r\n\r\n{text}".encode()}
        one.answers |= {"GET": MISSING, "HEAD": MISSING}
        one.asked.clear()


def asked_of(members: list[Member]) -> list[str]:
    """What members were asked, but for checks."""
    return [what for one in members for what in one.asked if what in {"PUT", "GET", "LIST"}]


async def test_a_whole_store_is_asked_once_for_a_change(members: list[Member]) -> None:
    """An honest upload costs a PUT, until a member is away: then a listing, too, and no PUT if the object is hidden."""
    async with objects_at(*(one.url for one in members)) as objects:
        await becomes(lambda: not objects.endpoints.shaken)
        lists(members, "x")
        assert await put(objects) == (200, "")
        assert asked_of(members) == ["PUT"]
        await members[0].stop()
        await becomes(lambda: objects.endpoints.shaken)
        lists(members)
        assert await put(objects) == (200, "")
        assert asked_of(members) == ["LIST", "PUT"]
        lists(members, "x")
        assert await put(objects) == (503, "CopiesAway")
        assert set(asked_of(members)) == {"LIST"}


async def test_what_is_hidden_is_not_missing(members: list[Member]) -> None:
    """A GET that finds nothing is followed by a listing while a member is away."""
    async with objects_at(*(one.url for one in members)) as objects:
        await becomes(lambda: not objects.endpoints.shaken)
        lists(members, "x")
        assert (await objects.call("GET", "x")).status == 404
        assert asked_of(members) == ["GET"]
        await members[0].stop()
        await becomes(lambda: objects.endpoints.shaken)
        assert (await objects.call("GET", "x")).code == "CopiesAway"
        assert (await objects.call("GET", "y")).code == "NoSuchKey"


async def test_a_store_that_is_no_minio_is_not_asked_for_more(members: list[Member]) -> None:
    """Its listings may lag behind."""
    for one in members:
        one.answers["health"] = MISSING
    async with objects_at(*(one.url for one in members)) as objects:
        await members[0].stop()
        await becomes(lambda: objects.endpoints.shaken)
        lists(members, "x")
        assert await put(objects) == (200, "")
        assert (await objects.call("GET", "x")).code == "NoSuchKey"
        assert "LIST" not in asked_of(members)
