"""Watching posts become ready, frugally."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp.test_utils import TestServer

from bench.outcome import Attempt, Outcome
from bench.replay.ready import PAUSE_S, ReadyWatch, ready_times
from bench.service import Post, Service, ServiceError
from tests.unit.bench.fake_service import QUICK, FakeClock, FakeService

PHOTOS = {"front": b"f", "back": b"b"}


@pytest.fixture
def fake() -> FakeService:
    """A service in memory."""
    return FakeService()


@pytest.fixture
async def service(fake: FakeService) -> AsyncIterator[Service]:
    """A client of the fake."""
    async with fake.server() as server, aiohttp.ClientSession() as session:
        assert isinstance(server, TestServer)
        yield Service(session, [str(server.make_url("")).rstrip("/")], QUICK, FakeClock())


@pytest.fixture
async def scene(fake: FakeService, service: Service) -> tuple[FakeService, ReadyWatch, FakeClock]:
    """A fake with one post, and a watch on its moment."""
    clock = FakeClock()
    moment = await service.open_moment("eu", clock.now(), 120)
    fake.store("a", moment.id, "ua", PHOTOS, clock.now())
    return fake, ReadyWatch(service, moment.id, clock), clock


def listings(fake: FakeService) -> int:
    """How often the moment was listed."""
    return sum(path.endswith("/posts") for _, path, _ in fake.requests)


async def test_a_look_lists_only_when_the_counts_moved(scene: tuple[FakeService, ReadyWatch, FakeClock]) -> None:
    """The summary is cheap, the listing is not."""
    fake, watch, clock = scene
    await watch.look()
    await watch.look()
    assert listings(fake) == 1

    clock.time += 5
    fake.store("b", "moment-0", "ub", PHOTOS, clock.now())
    await watch.look()
    assert listings(fake) == 2
    assert watch.settled_at == {"a": clock.time - 5, "b": clock.time}


async def test_every_tenth_look_lists_anyway(scene: tuple[FakeService, ReadyWatch, FakeClock]) -> None:
    """Counts may be wrong."""
    fake, watch, _ = scene
    for _ in range(10):
        await watch.look()

    assert listings(fake) == 2


async def test_without_a_summary_it_lists(scene: tuple[FakeService, ReadyWatch, FakeClock]) -> None:
    """And remembers what the trouble was."""
    fake, watch, _ = scene
    fake.faults.no_summary = True
    await watch.look()

    assert [post.id for post in watch.posts] == ["a"]
    assert "404" in watch.trouble


async def test_waiting_ends_when_all_are_settled(scene: tuple[FakeService, ReadyWatch, FakeClock]) -> None:
    """At once if they are already."""
    _, watch, clock = scene

    assert await watch.until_settled({"a"}, 60)
    assert clock.slept == []


async def test_waiting_ends_when_the_time_is_over(scene: tuple[FakeService, ReadyWatch, FakeClock]) -> None:
    """A post that never comes is not waited for for ever."""
    _, watch, clock = scene

    assert not await watch.until_settled({"a", "never"}, 5)
    assert sum(clock.slept) >= 5
    assert watch.pause_max_s == PAUSE_S


def test_times_to_ready_count_from_the_acknowledgement() -> None:
    """Only of posts that are ready, and never below zero."""
    watch = ReadyWatch(None, "m", FakeClock())  # type: ignore[arg-type]
    watch.settled_at = {"a": 15.0, "b": 9.0, "c": 20.0}
    outcomes = [Outcome(user=u, intended=1, attempts=(Attempt(9, 10, 201),), post_id=u) for u in "abcd"]
    when = FakeClock().now()
    posts = [
        Post(id=u, user_id=u, received_at=when, state="rejected" if u == "c" else "ready")  # type: ignore[arg-type]
        for u in "abcd"
    ]

    assert ready_times(outcomes, posts, watch) == {"a": 5.0, "b": 0.0}


async def test_ready_posts_are_counted_without_waiting_for_the_listing(
    scene: tuple[FakeService, ReadyWatch, FakeClock],
) -> None:
    """The summary says how many are ready; the listing of a large moment takes a while, or fails."""
    fake, watch, _ = scene
    fake.faults.no_posts = True

    with pytest.raises(ServiceError):
        await watch.look()

    assert watch.ready == 1
    assert watch.posts == []


class Slow(Service):
    """Each listing takes ten seconds."""

    def __init__(self, service: Service, clock: FakeClock) -> None:
        self.__dict__.update(vars(service))
        self.clock = clock

    async def posts(self, moment_id: str) -> list[Post]:
        """The posts, ten seconds later."""
        self.clock.time += 10
        return await super().posts(moment_id)


class Eventful(FakeClock):
    """Notes the displayed count at each sleep; a second post becomes ready during the first; stops at the fourth."""

    def __init__(self, fake: FakeService) -> None:
        super().__init__()
        self.fake = fake
        self.watch: ReadyWatch | None = None
        self.seen: list[int] = []

    async def sleep(self, seconds: float) -> None:
        """Pass the time."""
        await super().sleep(seconds)
        assert self.watch is not None
        self.seen.append(self.watch.ready)
        if len(self.seen) == 1:
            self.fake.store("b", "moment-0", "ub", PHOTOS, self.now())
        if len(self.seen) == 4:
            raise asyncio.CancelledError


async def test_ready_posts_are_counted_again_during_a_long_pause(
    scene: tuple[FakeService, ReadyWatch, FakeClock], service: Service
) -> None:
    """A listing of ten seconds is followed by a pause of minutes, in which the display must not stand still."""
    fake, _, _ = scene
    clock = Eventful(fake)
    clock.watch = ReadyWatch(Slow(service, clock), "moment-0", clock)
    with pytest.raises(asyncio.CancelledError):
        await clock.watch.follow()

    assert (clock.seen[0], clock.seen[-1]) == (1, 2)
    assert listings(fake) == 1
