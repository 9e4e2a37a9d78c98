"""Waiters are told when their post is settled, in turns, at a rate that does not grow with their number."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from ingest.config import Config as NodeConfig
from ingest.waiting import LOOKED_MAX, WAIT_S_MAX, Waiting
from lb.config import Config as BalancerConfig
from storage.records import Photo, Photos, Post, State

LONG_S = 60.0
PHOTO = Photo(sha256="0" * 64, bytes=1, width=64, height=64, format="jpeg")
PHOTOS = Photos(front=PHOTO, back=PHOTO)


class Index:
    """An index that knows states by post, and remembers what each round asked for."""

    def __init__(self) -> None:
        self.known: dict[str, State] = {}
        self.unknown: set[str] = set()
        self.rounds: list[list[str]] = []
        self.records: list[str] = []
        self.away = False

    async def states(self, post_ids: Sequence[str]) -> list[str | None]:
        """The states; each call is one round trip."""
        self.rounds.append(list(post_ids))
        if self.away:
            raise RedisConnectionError("away")
        return ["unknown" if one in self.unknown else self.known.get(one) for one in post_ids]

    async def trusted(self, post_ids: Sequence[str]) -> list[Post | None]:
        """The records."""
        self.records += post_ids
        return [self._record(one) if one in self.known else None for one in post_ids]

    def _record(self, post: str) -> Post:
        return Post(id=post, moment_id="m", user_id="u", received_at="", state=self.known[post], photos=PHOTOS)

    async def after(self, rounds: int) -> None:
        """Return when so many further rounds have begun."""
        until = len(self.rounds) + rounds
        while len(self.rounds) < until:  # noqa: ASYNC110 - a round is one turn of the loop
            await asyncio.sleep(0)


@pytest.fixture
def index() -> Index:
    """An index without posts."""
    return Index()


@pytest.fixture
async def waiting(index: Index) -> AsyncIterator[Waiting]:
    """Waiters whose rounds follow one another without a pause."""
    async with Waiting(index, lambda: False, every_s=0) as made:
        yield made


async def wait(waiting: Waiting, post: str, seconds: float = LONG_S) -> Post | None:
    """One waiter whose client stays."""
    return await waiting.until_settled(post, seconds, lambda: False)


async def nothing_else_is_asked(waiting: Waiting, index: Index) -> None:
    """With one new waiter its post is the only one that a round asks for: no earlier wait is left."""
    index.rounds.clear()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(wait(waiting, "another"))
        await index.after(2)
        index.known["another"] = "ready"
    assert index.rounds[1] == ["another"]


@pytest.mark.parametrize("end", ["ready", "rejected"])
async def test_a_waiter_is_told_when_its_post_is_settled(waiting: Waiting, index: Index, end: State) -> None:
    """Not while it is accepted; with the record of then; and nothing of the waiter is left."""
    index.known["p"] = "accepted"
    async with asyncio.TaskGroup() as tasks:
        waiter = tasks.create_task(wait(waiting, "p"))
        await index.after(3)
        assert not waiter.done()
        assert index.records == []
        index.known["p"] = end
    told = waiter.result()
    assert told is not None
    assert told.state == end
    await nothing_else_is_asked(waiting, index)


async def test_a_shard_that_does_not_answer_ends_no_wait(waiting: Waiting, index: Index) -> None:
    """Its posts are neither settled nor deleted; the waiter is told when the shard is back."""
    index.known["p"] = "accepted"
    async with asyncio.TaskGroup() as tasks:
        waiter = tasks.create_task(wait(waiting, "p"))
        await index.after(3)
        index.unknown.add("p")
        await index.after(3)
        assert not waiter.done()
        index.known["p"] = "ready"
        index.unknown.clear()
    told = waiter.result()
    assert told is not None
    assert told.state == "ready"


async def test_the_time_ends_a_wait(waiting: Waiting, index: Index) -> None:
    """Without an error and without a record: the caller looks itself."""
    assert await wait(waiting, "p", seconds=0) is None
    await nothing_else_is_asked(waiting, index)


async def test_many_posts_are_looked_for_in_turns(waiting: Waiting, index: Index) -> None:
    """A round never asks for more than its limit; after as many rounds as that takes, everybody had a turn."""
    posts = [f"p{number}" for number in range(8 * LOOKED_MAX)]
    index.known |= dict.fromkeys(posts, "accepted")
    async with asyncio.TaskGroup() as tasks:
        waiters = [tasks.create_task(wait(waiting, post)) for post in posts]
        await asyncio.sleep(0)
        index.rounds.clear()
        await index.after(8)
        assert {len(asked) for asked in index.rounds} == {LOOKED_MAX}
        assert {post for asked in index.rounds for post in asked} == set(posts)
        index.known |= dict.fromkeys(posts, "ready")
    assert sorted(index.records) == sorted(posts)
    assert all(waiter.result() for waiter in waiters)


async def test_waiters_of_one_post_cost_one_look(waiting: Waiting, index: Index) -> None:
    """However many they are."""
    index.known["p"] = "accepted"
    async with asyncio.TaskGroup() as tasks:
        for _ in range(100):
            tasks.create_task(wait(waiting, "p"))
        await index.after(2)
        assert index.rounds[-1] == ["p"]
        index.known["p"] = "ready"
    assert index.records == ["p"]


async def test_a_deletion_ends_a_wait_and_an_unknown_post_does_not(waiting: Waiting, index: Index) -> None:
    """An index that had the post and has it no more; one that never had it may have lost it."""
    index.known["known"] = "accepted"
    async with asyncio.TaskGroup() as tasks:
        deleted, lost = (tasks.create_task(wait(waiting, post)) for post in ("known", "unknown"))
        await index.after(2)
        del index.known["known"]
        await index.after(3)
        assert (deleted.done(), lost.done()) == (True, False)
        index.known["unknown"] = "ready"
    assert deleted.result() is None


async def test_waiters_outlast_an_outage_of_redis(waiting: Waiting, index: Index) -> None:
    """A round that fails tells nobody anything."""
    index.known["p"], index.away = "ready", True
    async with asyncio.TaskGroup() as tasks:
        waiter = tasks.create_task(wait(waiting, "p"))
        await index.after(3)
        assert not waiter.done()
        index.away = False


async def test_who_has_gone_and_a_drain_end_waits(index: Index) -> None:
    """A client that disconnected leaves alone; all leave when the node drains."""
    gone, draining = [False], [False]
    index.known["p"] = "accepted"
    async with Waiting(index, lambda: draining[0], every_s=0) as waiting, asyncio.TaskGroup() as tasks:
        leaver = tasks.create_task(waiting.until_settled("p", LONG_S, lambda: gone[0]))
        stayer = tasks.create_task(wait(waiting, "p"))
        await index.after(2)
        gone[0] = True
        await index.after(3)
        assert (leaver.done(), stayer.done()) == (True, False)
        draining[0] = True


async def test_nobody_asks_for_nothing(waiting: Waiting, index: Index) -> None:
    """An idle node sends Redis no question for waiters."""
    await wait(waiting, "p", seconds=0)
    index.rounds.clear()
    for _ in range(10):
        await asyncio.sleep(0)
    assert index.rounds == []


def test_a_wait_ends_before_anybody_takes_the_node_for_silent() -> None:
    """Balancers wait longer for an answer, and a drain lasts longer than the longest wait."""
    assert BalancerConfig().answer_s > WAIT_S_MAX * 2
    assert NodeConfig(auth_secret="x" * 32).drain_s > WAIT_S_MAX
