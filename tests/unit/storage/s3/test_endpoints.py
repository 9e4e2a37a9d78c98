"""Several endpoints of one store: requests are spread, a dead endpoint is left out, a silent one is given up."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack

import pytest

from storage.s3 import endpoints
from storage.s3.agreement import Finding
from storage.s3.canary import Canary
from storage.s3.credentials import NoKeys
from storage.s3.endpoint import Endpoint, State
from storage.s3.endpoints import Endpoints
from tests.unit.storage.s3.members import (
    FINE,
    MISSING,
    NO_QUORUM,
    NOT_YET,
    SLOW_WRITE,
    Member,
    apart_from,
    becomes,
    objects_at,
    put,
    state_of,
)


@pytest.fixture
async def members() -> AsyncIterator[list[Member]]:
    """Three members that run, and see each other."""
    seen: set[str] = set()
    made = [Member(seen) for _ in range(3)]
    for one in made:
        await one.start()
    yield made
    for one in made:
        await one.stop()


@pytest.fixture(autouse=True)
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was away sees the others at once."""
    monkeypatch.setattr("storage.s3.endpoint.SETTLE_S", 0.0)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Doubts and checks every few milliseconds."""
    monkeypatch.setattr("storage.s3.wire.DOUBT_S", 0.05)
    monkeypatch.setattr("storage.s3.objects.DOUBT_S", 0.05)
    monkeypatch.setattr(endpoints, "EVERY_S", 0.05)
    monkeypatch.setattr("storage.s3.endpoint.CHECK_S", 0.3)


async def test_requests_are_spread(members: list[Member]) -> None:
    """One after the other and at once: each member gets its third."""
    async with objects_at(*(one.url for one in members)) as objects:
        for _ in range(6):
            await put(objects)
        await asyncio.gather(*(put(objects) for _ in range(12)))

    assert [one.asked.count("PUT") for one in members] == [6] * 3


async def test_a_refused_connection_costs_no_attempt(members: list[Member]) -> None:
    """The request goes to the next endpoint; the dead one gets none until it answers a check."""
    await members[0].stop()
    async with objects_at(*(one.url for one in members)) as objects:
        for _ in range(9):
            assert await put(objects) == (200, "")
        assert state_of(objects, members[0]) is State.DOWN
        assert sum(one.asked.count("PUT") for one in members[1:]) == 9
        await members[0].start()
        await becomes(lambda: state_of(objects, members[0]) is State.UP)
        for _ in range(3):
            await put(objects)

    assert members[0].asked[-1] == "PUT"


async def test_all_endpoints_down_is_an_error_and_no_memory_of_it_remains(members: list[Member]) -> None:
    """While nobody listens a read is an OSError, a change is refused; the first that listens again is found at once."""
    for one in members:
        await one.stop()
    async with objects_at(*(one.url for one in members)) as objects:
        assert await put(objects) == (503, "MembersApart")
        with pytest.raises(OSError, match="Connect call failed"):
            await objects.call("GET", "x")
        await members[1].start()
        assert (await objects.call("GET", "x")).status == 200
        assert await put(objects) == (503, "MembersApart")  # one of three


@pytest.mark.usefixtures("quick")
async def test_a_member_that_is_not_ready_is_passed_over(members: list[Member]) -> None:
    """It says so itself, so the request was not done: the next one gets it, as a first attempt."""
    async with objects_at(*(one.url for one in members)) as objects:
        members[0].answers.update(PUT=NOT_YET, HEAD=NOT_YET)
        for _ in range(9):
            assert await put(objects) == (200, "")
        assert state_of(objects, members[0]) is State.DOWN

    assert members[0].asked.count("PUT") == 1


@pytest.mark.usefixtures("quick")
async def test_a_silent_member_is_given_up(members: list[Member]) -> None:
    """It does not answer a check either: its request is repeated at another one, long before the silence ends."""
    async with objects_at(*(one.url for one in members), silence_s=60.0) as objects:
        members[0].answers.update(PUT=None, HEAD=None)
        assert await asyncio.gather(*(put(objects) for _ in range(9))) == [(200, "")] * 9
        assert state_of(objects, members[0]) is State.DOWN


@pytest.mark.usefixtures("quick")
async def test_a_request_that_is_silent_at_a_member_that_answers_is_not_repeated(members: list[Member]) -> None:
    """The store may be doing it: one attempt, one error, after the whole silence; the member stays in use."""
    async with objects_at(members[0].url, members[1].url, silence_s=0.5) as objects:
        members[0].answers["PUT"] = None
        ends = await asyncio.gather(*(put(objects) for _ in range(4)), return_exceptions=True)
        assert sorted(type(end).__name__ for end in ends) == ["Silent", "Silent", "tuple", "tuple"]
        assert state_of(objects, members[0]) is State.UP

    assert members[0].asked.count("PUT") == 2


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("count", [1, 3])
async def test_without_a_write_quorum_puts_end_at_once_and_reads_go_on(members: list[Member], count: int) -> None:
    """MinIO holds PUTs back; its health tells why. Then no PUT is sent until it is well again."""
    for one in members:
        one.answers.update(PUT=None, health=NO_QUORUM)
    async with objects_at(*(one.url for one in members[:count]), silence_s=60.0) as objects:
        assert await put(objects) == (503, "SlowDownWrite")
        await becomes(lambda: {state_of(objects, one) for one in members[:count]} == {State.READS})
        sent = [one.asked.count("PUT") for one in members]
        assert [await put(objects) for _ in range(9)] == [(503, "SlowDownWrite")] * 9
        assert (await objects.call("GET", "x")).status == 200
        assert [one.asked.count("PUT") for one in members] == sent
        for one in members:
            one.answers.update(PUT=FINE, health=FINE)
        await becomes(lambda: {state_of(objects, one) for one in members[:count]} == {State.UP})
        assert await put(objects) == (200, "")


@pytest.mark.usefixtures("quick")
async def test_a_member_alone_without_quorum_is_passed_over(members: list[Member]) -> None:
    """It is cut off from the others, which have a quorum: no upload is refused."""
    members[0].answers.update(PUT=SLOW_WRITE, health=NO_QUORUM)
    async with objects_at(*(one.url for one in members)) as objects:
        assert [await put(objects) for _ in range(9)] == [(200, "")] * 9


@pytest.mark.usefixtures("quick")
async def test_what_is_missing_is_asked_of_all_while_members_come_and_go(members: list[Member]) -> None:
    """A member that was just back said so of an object that the others had; without a quorum it is not believed."""
    down, blind, seeing = members
    blind.answers["GET"] = MISSING
    async with objects_at(*(one.url for one in members)) as objects:
        await down.stop()
        with contextlib.suppress(OSError):
            for _ in range(3):
                await put(objects)
        for _ in range(4):
            assert (await objects.call("GET", "x")).status == 200
        seeing.answers["GET"] = MISSING
        assert (await objects.call("GET", "x")).code == "NoSuchKey"
        blind.answers["health"] = seeing.answers["health"] = NO_QUORUM
        for one in objects.endpoints.all:
            one.healthy_at = float("-inf")
        assert (await objects.call("GET", "x")).code == "SlowDownRead"


async def test_what_is_missing_costs_one_request_while_all_is_well(members: list[Member]) -> None:
    """Nobody else is asked, and nobody's health."""
    for one in members:
        one.answers["GET"] = MISSING
    async with objects_at(*(one.url for one in members)) as objects:
        assert (await objects.call("GET", "x")).code == "NoSuchKey"

        asked = [what for one in members for what in one.asked]
        assert (await objects.call("GET", "x")).code == "NoSuchKey"
        assert [what for one in members for what in one.asked].count("GET") == asked.count("GET") + 1 == 2


async def agree(_: Sequence[Endpoint]) -> Finding:
    """All do."""
    return Finding()


async def test_a_check_without_keys_leaves_the_endpoint_in_use(caplog: pytest.LogCaptureFixture) -> None:
    """The reason is logged."""

    async def no_keys(_: str) -> bytes:
        raise NoKeys("no role")

    async with AsyncExitStack() as opened:
        limits = {"connections_max": 1, "connect_timeout_s": 1.0}
        made = Endpoints(["http://127.0.0.1:1"], no_keys, agree, Canary(no_keys, no_keys), trust=None, **limits)  # type: ignore[arg-type]
        await opened.enter_async_context(made)
        made.leave_out(made.all[0], State.DOWN)
        await becomes(lambda: made.all[0].state is State.UP)

    assert "it stays in use: no role" in caplog.text


async def test_nothing_is_changed_before_all_that_answer_agree(members: list[Member]) -> None:
    """At first no member is trusted; reads go on, and so do tests of the store. Then all are used at once."""
    apart_from(members[0])
    async with objects_at(*(one.url for one in members)) as objects:
        assert await put(objects) == (503, "MembersApart")
        assert (await objects.call("GET", "x")).status == 200
        assert (await objects.put("probe/x", [b"1"], {"if-none-match": "*"})).status == 200
        assert all("PUT" not in one.asked for one in members)
        members[0].seen = members[1].seen
        await becomes(lambda: {state_of(objects, one) for one in members} == {State.UP})
        assert await put(objects) == (200, "")


@pytest.mark.usefixtures("quick")
async def test_a_member_that_was_restarted_is_not_used_before_it_agrees(members: list[Member]) -> None:
    """Its connections broke, and it answers again at once, so no request failed: the others take the changes alone."""
    async with objects_at(*(one.url for one in members)) as objects:
        for _ in range(3):
            await put(objects)
        apart_from(members[0])
        await members[0].stop()
        await members[0].start()
        await becomes(lambda: state_of(objects, members[0]) is not State.UP)
        members[0].asked.clear()
        assert [await put(objects) for _ in range(6)] == [(200, "")] * 6
        assert "PUT" not in members[0].asked
        members[0].seen = members[1].seen
        await becomes(lambda: state_of(objects, members[0]) is State.UP)


@pytest.mark.usefixtures("quick")
async def test_when_all_were_restarted_all_must_agree(members: list[Member]) -> None:
    """Two that agree are more than half, but another program may have found the other two."""
    async with objects_at(*(one.url for one in members)) as objects:
        await put(objects)
        for one in members:
            await one.stop()
        await becomes(lambda: all(state_of(objects, one) is not State.UP for one in members))
        apart_from(members[0])
        for one in members:
            await one.start()
        for _ in range(3):
            await becomes(lambda: "PUT" not in members[0].asked[-1:])
            assert await put(objects) == (503, "MembersApart")
        members[0].seen = members[1].seen
        await becomes(lambda: {state_of(objects, one) for one in members} == {State.UP})
        assert await put(objects) == (200, "")


@pytest.mark.usefixtures("quick")
async def test_a_connection_that_is_found_broken_changes_nothing_elsewhere(members: list[Member]) -> None:
    """A PUT on an idle connection to a server that was restarted is not sent again before the server was tested."""
    async with objects_at(*(one.url for one in members[:2])) as objects:
        for _ in range(4):
            await put(objects)
        for one in objects.endpoints.all:
            for wire in one.wires._idle:
                wire._transport.abort()  # the loop has not yet heard that it is closed
        assert await put(objects) == (200, "")
        assert all(one.breaks for one in objects.endpoints.all)


@pytest.mark.usefixtures("quick")
async def test_what_was_away_is_not_used_before_it_settled(
    members: list[Member], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may lack what was written while it was away, though it sees what is written now."""
    async with objects_at(*(one.url for one in members)) as objects:
        monkeypatch.setattr("storage.s3.endpoint.SETTLE_S", 600.0)
        await members[0].stop()
        await becomes(lambda: state_of(objects, members[0]) is State.DOWN)
        await members[0].start()
        await becomes(lambda: state_of(objects, members[0]) is State.APART)
        assert [await put(objects) for _ in range(6)] == [(200, "")] * 6
        assert "PUT" not in members[0].asked
        monkeypatch.setattr("storage.s3.endpoint.SETTLE_S", 0.0)
        await becomes(lambda: state_of(objects, members[0]) is State.UP)


@pytest.mark.usefixtures("quick")
async def test_an_idle_program_notices_a_restart(members: list[Member], monkeypatch: pytest.MonkeyPatch) -> None:
    """It keeps a connection to each member, by a small request now and then."""
    monkeypatch.setattr(endpoints, "WATCH_S", 0.01)
    async with objects_at(*(one.url for one in members)) as objects:
        for one in objects.endpoints.all:
            one.wires.close()
        await becomes(lambda: all(one.wires._idle for one in objects.endpoints.all))
        apart_from(members[2])
        await members[2].stop()
        await members[2].start()
        await becomes(lambda: state_of(objects, members[2]) is not State.UP)
