"""storage.s3.endpoints: when an endpoint has to stand a trial, beside which other, and what follows."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

import pytest

from storage.s3 import endpoints
from storage.s3.endpoint import State
from storage.s3.objects import Objects
from tests.unit.storage.s3.test_endpoints import FINE, NO_QUORUM, Member, becomes, objects_at, put, state_of
from tests.unit.storage.s3.test_endpoints import members as members  # noqa: PLC0414 - a fixture

BROKEN = b"HTTP/1.1 500 x\r\nContent-Length: 0\r\n\r\n"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checks every few milliseconds, with all the time of a busy machine."""
    monkeypatch.setattr(endpoints, "EVERY_S", 0.05)


class Trials:
    """Keeps which endpoints were tried, and answers by the address of the first."""

    def __init__(self) -> None:
        self.seen: list[list[str]] = []
        self.ends: dict[str, bool | None] = {}

    async def __call__(self, urls: Sequence[str]) -> bool | None:
        """One trial."""
        self.seen.append(list(urls))
        return self.ends.get(urls[0], True)


@asynccontextmanager
async def tried(members: Sequence[Member], trials: Trials, *, tested: bool = True) -> AsyncIterator[Objects]:
    """Calls to these members, after the start of a program; the first is down."""
    await members[0].stop()
    async with objects_at(*(one.url for one in members)) as objects:
        for _ in members:
            with suppress(OSError):
                await put(objects)
        objects.endpoints.try_late(trials, tested=tested)
        yield objects


@pytest.mark.parametrize("end", [True, False, None])
async def test_one_that_was_down_is_tried_beside_one_that_serves(members: list[Member], end: bool | None) -> None:  # noqa: FBT001
    """It serves, or is left out, or is tried again: nothing was found out."""
    trials = Trials()
    late, *others = members
    trials.ends[late.url] = end
    async with tried(members, trials) as objects:
        await late.start()
        wanted = {True: State.UP, False: State.UNFIT, None: State.DOWN}[end]
        await becomes(lambda: len(trials.seen) > (end is None) and state_of(objects, late) is wanted)
        for _ in range(6):
            assert await put(objects) == (200, "")
        assert trials.seen[0][0] == late.url
        assert trials.seen[0][1] in {one.url for one in others}
        assert ("PUT" in late.asked) is bool(end)


async def test_one_that_is_mended_serves(members: list[Member], monkeypatch: pytest.MonkeyPatch) -> None:
    """An unfit endpoint is tried again."""
    monkeypatch.setattr(endpoints, "AFTER_UNFIT", 2)
    trials = Trials()
    trials.ends[members[0].url] = False
    async with tried(members, trials) as objects:
        await members[0].start()
        await becomes(lambda: state_of(objects, members[0]) is State.UNFIT)
        trials.ends.clear()
        await becomes(lambda: state_of(objects, members[0]) is State.UP)


async def test_one_that_went_away_later_is_tried_again(members: list[Member]) -> None:
    """Another program may have its address; silence or a lost quorum alone is no reason."""
    trials = Trials()
    async with tried(members, trials) as objects:
        objects.endpoints.leave_out(
            next(one for one in objects.endpoints.all if one.url == members[1].url), State.READS
        )
        await becomes(lambda: state_of(objects, members[1]) is State.UP)
        assert [members[1].url] not in [urls[:1] for urls in trials.seen]
        await members[1].stop()
        for _ in range(6):
            await put(objects)
        await members[1].start()
        await becomes(lambda: state_of(objects, members[1]) is State.UP)
        assert [urls[0] for urls in trials.seen] == [members[1].url]


async def test_with_no_fit_endpoint_nothing_is_sent(members: list[Member]) -> None:
    """Neither reads nor changes, and the answer says why."""
    trials = Trials()
    trials.ends = {one.url: False for one in members}
    async with tried(members[:1], trials) as objects:
        await members[0].start()
        await becomes(lambda: state_of(objects, members[0]) is State.UNFIT)
        members[0].asked.clear()
        assert await put(objects) == (503, "NoSuitableEndpoint")
        assert (await objects.call("GET", "x")).code == "NoSuitableEndpoint"
        assert not {"PUT", "GET"} & set(members[0].asked)


async def test_where_all_were_down_the_first_stands_it_alone(members: list[Member]) -> None:
    """Those that stood the last one are used meanwhile."""
    trials = Trials()
    async with tried(members, trials) as objects:
        for one in members[1:]:
            await one.stop()
        with pytest.raises(OSError, match=r".+"):
            await put(objects)
        trials.ends[members[1].url] = None
        await members[1].start()
        await becomes(lambda: [members[1].url] in trials.seen)
        assert await put(objects) == (200, "")
        await members[0].start()
        await becomes(lambda: state_of(objects, members[0]) is State.UP)
        assert all(members[1].url not in urls[1:] for urls in trials.seen)


async def test_a_store_that_could_not_write_at_the_start_is_tried_when_it_can(members: list[Member]) -> None:
    """It is read meanwhile."""
    for one in members:
        one.answers["health"] = NO_QUORUM
    trials = Trials()
    async with objects_at(*(one.url for one in members[:2])) as objects:
        objects.endpoints.try_late(trials, tested=False)
        assert await put(objects) == (503, "SlowDownWrite")
        assert (await objects.call("GET", "x")).status == 200
        await asyncio.sleep(0)
        assert trials.seen == []
        for one in members:
            one.answers["health"] = FINE
        await becomes(lambda: {state_of(objects, one) for one in members[:2]} == {State.UP})
        # One alone, and then the other beside it: never both alone, although both came at the same time.
        [first], second = trials.seen
        assert second == [next(one.url for one in members[:2] if one.url != first), first]


async def test_one_that_fails_at_everything_is_left_out(members: list[Member]) -> None:
    """Its requests are repeated at another one, and then it gets none."""
    members[0].answers = dict.fromkeys(members[0].answers, BROKEN)
    async with objects_at(*(one.url for one in members)) as objects:
        assert [await put(objects) for _ in range(3)] == [(200, "")] * 3
        await becomes(lambda: state_of(objects, members[0]) is State.DOWN)
        sent = members[0].asked.count("PUT")
        assert [await put(objects) for _ in range(9)] == [(200, "")] * 9
        assert members[0].asked.count("PUT") == sent == 1
