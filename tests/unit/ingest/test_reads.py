"""Reads of an overloaded node are refused before they cost anything, and hold their place until they are told."""

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from ingest.admission import Admission, Budget, Rank
from ingest.auth import PRINCIPAL, Principal
from ingest.commits import Commits
from ingest.errors import Refusal
from ingest.peers import Peers, networks
from ingest.read_admission import SCRAPES_MAX, USER_WAITERS_MAX, Kind, Reading, ReadLimits
from ingest.reads import Reads
from ingest.sending import READER


def reads(reads_max: int = 8, bytes_max: int = 1000) -> tuple[Reads, Reading, Admission]:
    """With these limits, beside a node that takes ten uploads."""
    reading = Reading(ReadLimits(reads_max=reads_max, bytes_max=bytes_max))
    admission = Admission(Budget(requests_max=10, bytes_max=1000), Commits())
    return Reads(reading, admission, Peers(networks(""))), reading, admission


async def hello(_request: web.Request) -> web.StreamResponse:
    """A handler."""
    return web.Response(body=b"hello")


def request(user: str = "alice") -> web.Request:
    """A request as the router hands it on."""
    made = make_mocked_request("GET", "/")
    made[PRINCIPAL] = Principal(user, "upload")
    return made


async def test_a_read_holds_its_place_and_its_bytes_until_it_is_told() -> None:
    """The handler's end is not the answer's; a user's share is one of eight places here, another user has his own."""
    inside, reading, _ = reads()
    call, first = inside.by_user(hello), request()
    await call(first)

    assert (reading.count(Kind.POST), reading.bytes) == (1, 5)
    with pytest.raises(Refusal, match="overloaded") as refused:
        await call(request())
    assert 1 <= int(refused.value.headers["Retry-After"]) <= 6
    await call(request("bob"))
    reading.release(first[READER])
    await call(request())
    assert (reading.count(Kind.POST), reading.bytes) == (2, 10)


async def test_an_answer_without_room_for_its_bytes_is_refused() -> None:
    """Before it is made, where its size is known; its place is the request's to give back."""
    inside, reading, _ = reads(bytes_max=8)
    await inside.by_user(hello)(request())
    call = request("bob")
    with pytest.raises(Refusal, match="overloaded"):
        await inside.by_user(hello)(call)

    reading.release(call[READER])
    assert (reading.count(Kind.POST), reading.bytes) == (1, 5)


async def test_readers_by_links_share_by_address() -> None:
    """A link names no user: each address has a user's share, and none has that of a user with such a name."""
    inside, reading, _ = reads()
    call = inside.by_user(hello)

    def by_link(address: str) -> web.Request:
        return make_mocked_request("GET", "/").clone(remote=address)

    await call(by_link("10.0.0.1"))
    with pytest.raises(Refusal, match="overloaded"):
        await call(by_link("10.0.0.1"))
    await call(by_link("10.0.0.2"))
    await call(request("10.0.0.1"))
    assert reading.count(Kind.POST) == 3


async def test_uploads_come_first() -> None:
    """From 70 % of their budget on nobody reads posts, but whoever watches the node reads its metrics."""
    inside, reading, admission = reads()
    admission.admit("carol", 701, Rank.FIRST, 0.0)

    with pytest.raises(Refusal, match="busy with uploads"):
        await inside.by_user(hello)(request())
    await inside.by_address(hello, Kind.SCRAPE)(make_mocked_request("GET", "/"))
    assert reading.count(Kind.SCRAPE) == 1 <= SCRAPES_MAX


async def test_a_waiter_holds_a_place_of_its_own_kind() -> None:
    """Not one of a read; its answer is accounted for too; a user's ninth is refused as too many of this user."""
    inside, reading, _ = reads()

    async def waits(asked: web.Request) -> web.StreamResponse:
        inside.wait(asked)
        return await hello(asked)

    for _ in range(USER_WAITERS_MAX):
        await inside.by_user(waits)(request())
    assert (reading.count(Kind.POST), reading.count(Kind.WAIT), reading.bytes) == (0, 8, 40)
    with pytest.raises(Refusal, match="rate-limited: at most 8") as refused:
        await inside.by_user(waits)(request())
    assert int(refused.value.headers["Retry-After"]) >= 1
    await inside.by_user(waits)(request("bob"))
    assert (reading.count(Kind.POST), reading.count(Kind.WAIT)) == (0, 9)
