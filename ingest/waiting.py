"""The long poll of a post: requests that wait until a post is pending no more, or until their time has passed.

One task asks the index for the posts of all waiters together: one round trip in `EVERY_S` for at most `LOOKED_MAX`
posts, in turns if there are more. So a waiter costs the node a connection and a timer, and Redis the same however many
wait. A waiter holds no place of a read. Waiters end at once while the node drains, and when their client has gone.
Without Redis nothing becomes ready, and waiters wait for their whole time. This file does not read the store.
"""

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from itertools import islice
from types import TracebackType
from typing import Final, Self

from redis.exceptions import RedisError

from .errors import Refusal
from .returns import when_away_s

# Shorter than what balancers, proxies and mobile networks allow a silent connection (30 to 60 s), and than a drain.
WAIT_S_MAX: Final = 25
# 512 posts a second at most; a post that is ready is told after a quarter of a second on average.
EVERY_S: Final = 0.5
LOOKED_MAX: Final = 256
# A waiter takes about 20 KiB: 40 MiB in all. One user has one post at a time to wait for, on a few devices.
WAITERS_MAX: Final = 2048
USER_WAITERS_MAX: Final = 8

States = Callable[[Sequence[str]], Awaitable[list[str | None]]]


class _Watched:
    """A post with its waiters; `seen`: the index had it, so that it was deleted if the index has it no more."""

    __slots__ = ("seen", "waiters")

    def __init__(self) -> None:
        self.seen = False
        self.waiters: dict[asyncio.Event, Callable[[], bool]] = {}


class Waiting:
    """`async with Waiting(…)` looks for the waiters until the block is left."""

    def __init__(self, states: States, draining: Callable[[], bool], *, every_s: float = EVERY_S) -> None:
        self._states, self._draining, self._every_s = states, draining, every_s
        self._posts: dict[str, _Watched] = {}
        self._users: Counter[str] = Counter()
        self._tasks = asyncio.TaskGroup()

    @property
    def count(self) -> int:
        """The number of waiters."""
        return self._users.total()

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        self._looking = self._tasks.create_task(self._look(), name="post-waiters")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._looking.cancel()
        await self._tasks.__aexit__(None, None, None)

    async def until_settled(self, post_id: str, user: str, seconds: float, gone: Callable[[], bool]) -> None:
        """Return when the post is ready, rejected or deleted, or after `seconds`; Refusal when too many wait.

        `gone` says whether the client has disconnected.
        """
        if self._users[user] >= USER_WAITERS_MAX:
            detail = f"at most {USER_WAITERS_MAX} requests of one user may wait; ask without `wait`"
            raise Refusal("rate-limited", detail, headers={"Retry-After": str(when_away_s(random.random()))})
        if self.count >= WAITERS_MAX:
            detail = "too many requests wait at this node; ask again, or without `wait`"
            raise Refusal("overloaded", detail, headers={"Retry-After": str(when_away_s(random.random()))})
        settled = asyncio.Event()
        post = self._posts.setdefault(post_id, _Watched())
        post.waiters[settled] = gone
        self._users[user] += 1
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await settled.wait()
        finally:
            self._leave(post_id, user, settled)

    def _leave(self, post_id: str, user: str, settled: asyncio.Event) -> None:
        post = self._posts[post_id]
        del post.waiters[settled]
        if not post.waiters:
            del self._posts[post_id]
        self._users[user] -= 1
        if not self._users[user]:
            del self._users[user]

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(self._every_s)
            self._dismiss()
            post_ids = list(islice(self._posts, LOOKED_MAX))
            if not post_ids:
                continue
            for post_id in post_ids:  # to the end of the order, so that all have their turn
                self._posts[post_id] = self._posts.pop(post_id)
            with contextlib.suppress(RedisError):
                for post_id, state in zip(post_ids, await self._states(post_ids), strict=True):
                    self._found(post_id, state)

    def _dismiss(self) -> None:
        """Wake the waiters whose client has gone, and all while the node drains."""
        every = self._draining()
        for post in self._posts.values():
            for settled, gone in post.waiters.items():
                if every or gone():
                    settled.set()

    def _found(self, post_id: str, state: str | None) -> None:
        post = self._posts.get(post_id)
        if post is None:
            return
        if state == "accepted":
            post.seen = True
        elif state is not None or post.seen:
            for settled in post.waiters:
                settled.set()
