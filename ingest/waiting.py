"""The long poll of a post: requests that wait until a post is pending no more, or until their time has passed.

One task asks the index for the posts of all waiters together: one round trip in `EVERY_S` for at most `LOOKED_MAX`
posts, in turns if there are more, and one more for the records of those that are settled. So a waiter costs the node a
connection and a timer, and Redis the same however many wait. Waits end at once when the client has gone, and while the
node drains. Without Redis nothing becomes ready, and waiters wait for their whole time. How many may wait is decided in
`read_admission.py`. This file does not read the store.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from itertools import islice
from types import TracebackType
from typing import Final, Protocol, Self

from redis.exceptions import RedisError

from storage.records import Post

# Shorter than what balancers, proxies and mobile networks allow a silent connection (30 to 60 s), and than a drain.
WAIT_S_MAX: Final = 25
# 512 posts a second at most; a post that is ready is told after a quarter of a second on average.
EVERY_S: Final = 0.5
LOOKED_MAX: Final = 256

Waiter = asyncio.Future[Post | None]


class Index(Protocol):
    """What is asked of `storage.index.Index`; both may raise redis.RedisError."""

    async def states(self, post_ids: Sequence[str], /) -> list[str | None]:
        """The posts' states, in order; None for each post that the index does not have; `unknown` without its shard."""
        ...

    async def trusted(self, post_ids: Sequence[str], /) -> list[Post | None]:
        """The records that may be shown, in order; None where only the store knows whether the post still exists."""
        ...


class _Watched:
    """A post with its waiters; `seen`: the index had it, so that it was deleted if the index has it no more."""

    __slots__ = ("seen", "waiters")

    def __init__(self) -> None:
        self.seen = False
        self.waiters: dict[Waiter, Callable[[], bool]] = {}

    def tell(self, post: Post | None) -> None:
        """End all waits with this record."""
        for waiter in self.waiters:
            if not waiter.done():
                waiter.set_result(post)


class Waiting:
    """`async with Waiting(…)` looks for the waiters until the block is left."""

    def __init__(self, index: Index, draining: Callable[[], bool], *, every_s: float = EVERY_S) -> None:
        self._index, self._draining, self._every_s = index, draining, every_s
        self._posts: dict[str, _Watched] = {}
        self._tasks = asyncio.TaskGroup()

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        self._looking = self._tasks.create_task(self._look(), name="post-waiters")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._looking.cancel()
        await self._tasks.__aexit__(None, None, None)

    async def until_settled(self, post_id: str, seconds: float, gone: Callable[[], bool]) -> Post | None:
        """The post once it is ready or rejected; None, and the caller should look itself, if that is not known.

        That is so after `seconds`, after a deletion, while the node drains, and when `gone` says that the client has
        disconnected.
        """
        waiter: Waiter = asyncio.get_running_loop().create_future()
        post = self._posts.setdefault(post_id, _Watched())
        post.waiters[waiter] = gone
        try:
            async with asyncio.timeout(seconds):
                return await waiter
        except TimeoutError:
            return None
        finally:
            del post.waiters[waiter]
            if not post.waiters:
                del self._posts[post_id]

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(self._every_s)
            self._dismiss()
            post_ids = list(islice(self._posts, LOOKED_MAX))
            for post_id in post_ids:  # to the end of the order, so that all have their turn
                self._posts[post_id] = self._posts.pop(post_id)
            with contextlib.suppress(RedisError):
                await self._ask(post_ids)

    def _dismiss(self) -> None:
        """End the waits whose client has gone, and all while the node drains."""
        every = self._draining()
        for post in self._posts.values():
            for waiter, gone in post.waiters.items():
                if not waiter.done() and (every or gone()):
                    waiter.set_result(None)

    async def _ask(self, post_ids: Sequence[str]) -> None:
        if not post_ids:
            return
        states = await self._index.states(post_ids)
        settled = [post_id for post_id, state in zip(post_ids, states, strict=True) if self._is_settled(post_id, state)]
        if not settled:
            return
        for post_id, record in zip(settled, await self._index.trusted(settled), strict=True):
            if post_id in self._posts:
                self._posts[post_id].tell(record)

    def _is_settled(self, post_id: str, state: str | None) -> bool:
        post = self._posts.get(post_id)
        if post is None:
            return False
        if state is None:
            return post.seen
        if state == "unknown":  # the post's shard does not answer
            return False
        post.seen = True
        return state != "accepted"
