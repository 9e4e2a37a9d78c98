"""Waiters are told when their post is settled, in turns, at a rate that does not grow with their number."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from ingest.config import Config as NodeConfig
from ingest.errors import Refusal
from ingest.waiting import LOOKED_MAX, USER_WAITERS_MAX, WAIT_S_MAX, WAITERS_MAX, Waiting
from lb.config import Config as BalancerConfig

LONG_S = 60.0


class Index:
    """An index that knows states by post, and remembers what each round asked for."""

    def __init__(self) -> None:
        self.states: dict[str, str | None] = {}
        self.rounds: list[list[str]] = []
        self.away = False

    async def look(self, post_ids: Sequence[str]) -> list[str | None]:
        """The states; each call is one round trip."""
        self.rounds.append(list(post_ids))
        if self.away:
            raise RedisConnectionError("away")
        return [self.states.get(one) for one in post_ids]

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
    async with Waiting(index.look, lambda: False, every_s=0) as made:
        yield made


async def wait(waiting: Waiting, post: str, user: str = "alice", seconds: float = LONG_S) -> None:
    """One waiter whose client stays."""
    await waiting.until_settled(post, user, seconds, lambda: False)


async def test_a_waiter_is_told_when_its_post_is_ready(waiting: Waiting, index: Index) -> None:
    """Not while it is accepted; and nothing of the waiter is left."""
    index.states["p"] = "accepted"
    async with asyncio.TaskGroup() as tasks:
        waiter = tasks.create_task(wait(waiting, "p"))
        await index.after(3)
        assert not waiter.done()
        index.states["p"] = "rejected"
    assert (waiting.count, waiting._posts) == (0, {})


async def test_the_time_ends_a_wait(waiting: Waiting, index: Index) -> None:
    """Without an error: the caller reads the post again."""
    await wait(waiting, "p", seconds=0)
    assert waiting.count == 0


async def test_as_many_as_may_wait_are_looked_for_in_turns(waiting: Waiting, index: Index) -> None:
    """A round never asks for more than its limit; after as many rounds as that takes, everybody had a turn."""
    posts = [f"p{number}" for number in range(WAITERS_MAX)]
    index.states |= dict.fromkeys(posts, "accepted")
    async with asyncio.TaskGroup() as tasks:
        for number, post in enumerate(posts):
            tasks.create_task(wait(waiting, post, f"user{number // USER_WAITERS_MAX}"))
        await asyncio.sleep(0)
        assert waiting.count == WAITERS_MAX
        with pytest.raises(Refusal, match="overloaded: too many requests wait") as refused:
            await wait(waiting, "other", "other")
        assert int(refused.value.headers["Retry-After"]) >= 1
        index.rounds.clear()
        await index.after(WAITERS_MAX // LOOKED_MAX)
        assert {len(asked) for asked in index.rounds} == {LOOKED_MAX}
        assert {post for asked in index.rounds for post in asked} == set(posts)
        index.states |= dict.fromkeys(posts, "ready")
    assert waiting.count == 0


async def test_waiters_of_one_post_cost_one_look(waiting: Waiting, index: Index) -> None:
    """Whoever waits for it."""
    index.states["p"] = "accepted"
    async with asyncio.TaskGroup() as tasks:
        for user in range(100):
            tasks.create_task(wait(waiting, "p", f"user{user}"))
        await index.after(2)
        assert index.rounds[-1] == ["p"]
        index.states["p"] = "ready"


async def test_one_user_may_have_a_few_waiters(waiting: Waiting, index: Index) -> None:
    """One more is refused with a time to come back; another user is not, nor the same user later."""
    index.states["p"] = "accepted"
    async with asyncio.TaskGroup() as tasks:
        for _ in range(USER_WAITERS_MAX):
            tasks.create_task(wait(waiting, "p"))
        await asyncio.sleep(0)
        with pytest.raises(Refusal, match="rate-limited") as refused:
            await wait(waiting, "p")
        assert int(refused.value.headers["Retry-After"]) >= 1
        await wait(waiting, "p", "bob", 0)
        index.states["p"] = "ready"
    await wait(waiting, "p", seconds=0)


async def test_a_deletion_ends_a_wait_and_an_unknown_post_does_not(waiting: Waiting, index: Index) -> None:
    """An index that had the post and has it no more; one that never had it may have lost it."""
    index.states["known"] = "accepted"
    async with asyncio.TaskGroup() as tasks:
        deleted, lost = (tasks.create_task(wait(waiting, post)) for post in ("known", "unknown"))
        await index.after(2)
        del index.states["known"]
        await index.after(3)
        assert (deleted.done(), lost.done()) == (True, False)
        index.states["unknown"] = "ready"


async def test_waiters_outlast_an_outage_of_redis(waiting: Waiting, index: Index) -> None:
    """A round that fails tells nobody anything."""
    index.states["p"], index.away = "ready", True
    async with asyncio.TaskGroup() as tasks:
        waiter = tasks.create_task(wait(waiting, "p"))
        await index.after(3)
        assert not waiter.done()
        index.away = False


async def test_who_has_gone_and_a_drain_end_waits(index: Index) -> None:
    """A client that disconnected leaves alone; all leave when the node drains."""
    gone, draining = [False], [False]
    index.states["p"] = "accepted"
    async with Waiting(index.look, lambda: draining[0], every_s=0) as waiting, asyncio.TaskGroup() as tasks:
        leaver = tasks.create_task(waiting.until_settled("p", "alice", LONG_S, lambda: gone[0]))
        stayer = tasks.create_task(wait(waiting, "p"))
        await index.after(2)
        gone[0] = True
        await index.after(3)
        assert (leaver.done(), stayer.done()) == (True, False)
        draining[0] = True


def test_a_wait_ends_before_anybody_takes_the_node_for_silent() -> None:
    """Balancers wait longer for an answer, and a drain lasts longer than the longest wait."""
    assert BalancerConfig().answer_s > WAIT_S_MAX * 2
    assert NodeConfig(auth_secret="x" * 32).drain_s > WAIT_S_MAX
