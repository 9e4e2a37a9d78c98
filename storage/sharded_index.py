"""The index in several Redis: each post on its home shard, moments on the named Redis (`SNAPSURGE_REDIS_URL`).

A post's entry, its part of the moment's counts, its jobs and its upload limit are on the same shard (queue/shards.py
chooses it). A shard that does not answer costs its own posts alone: readers find those in the store. The counts of a
moment are the sum over all shards.

The *epoch* is a digest of the names of all shards. Each shard's counts are of one epoch. When a shard is added or
removed, processes of two epochs run for a while: those of the other epoch update what is counted, but count nothing
new, and void the mark of completeness. The sweeper then recounts for its own epoch until no process of another one is
left. Entries that a post has on a former home are not read, and expire. With one shard the epoch is empty, whatever its
name, because all posts are on it.
"""

import asyncio
import hashlib
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from functools import reduce
from operator import add
from typing import TypeVar, cast

from redis.asyncio import Redis
from redis.exceptions import RedisError

from .causes import raise_first
from .index import Counts, Index, Observed, Report
from .queue.shards import home, those_that_answer
from .records import Post

T = TypeVar("T")
R = TypeVar("R")


def epoch_of(names: Iterable[str]) -> str:
    """The name of this set of shards; empty for a single one."""
    ordered = sorted(names)
    return hashlib.blake2b("\0".join(ordered).encode(), digest_size=6).hexdigest() if len(ordered) > 1 else ""


class ShardedIndex(Index):
    """The index over all shards. Methods about single posts raise redis.RedisError if their shards are unavailable."""

    def __init__(self, redis: Redis, shards: Mapping[str, Redis]) -> None:
        super().__init__(redis)
        epoch = epoch_of(shards)
        self._shards = {name: Index(client, epoch) for name, client in shards.items()}

    @property
    def shards(self) -> Mapping[str, Index]:
        """The index of each shard, by the shard's name."""
        return self._shards

    def home(self, post_id: str) -> str:
        """The name of the shard that has this post."""
        return home(post_id, self._shards)

    async def observe(self, reports: Sequence[Report]) -> list[Observed]:
        """Report posts to their shards, with the proofs of these; an error only after all other shards were told."""
        answers = await self._by_shard(reports, [one.post.id for one in reports], Index.observe)
        raise_first(answers)
        return cast("list[Observed]", answers)

    async def forget(self, post_id: str, moment_id: str, deletion: str) -> None:
        """Remove a post from index and counts, unless its attempt is younger than `deletion`; stores that id.

        All shards are told, because a node with another list may read the post on another one; only its home must hear.
        """
        own = self.home(post_id)
        calls = {name: one.forget(post_id, moment_id, deletion) for name, one in self._shards.items()}
        for name, answer in zip(calls, await asyncio.gather(*calls.values(), return_exceptions=True), strict=True):
            if isinstance(answer, BaseException) and (name == own or not isinstance(answer, RedisError | OSError)):
                raise answer

    def only_primary(self, post_id: str) -> AbstractAsyncContextManager[None]:
        """For who answers that the post is deleted: redis.RedisError at the end if another primary may show it."""
        return self._shards[self.home(post_id)].only_primary(post_id)

    async def drop(self, post_ids: Sequence[str]) -> None:
        """Remove the entries of these posts, which stay in the counts: the caller voids or removes those."""
        for one in self._shards.values():
            await one.drop(post_ids)

    async def deletion(self, post_id: str) -> str:
        """The id of the post's last deletion that was reported to the index; empty if there was none."""
        return await self._shards[self.home(post_id)].deletion(post_id)

    async def keep(self, post_id: str) -> None:
        """Keep the entry of a post for as long as counts are kept."""
        await self._shards[self.home(post_id)].keep(post_id)

    async def posts(self, post_ids: Sequence[str]) -> list[Post | None]:
        """The posts' records, in order; None also for posts of a shard that does not answer, if another one does."""
        return _known(await self._by_shard(post_ids, post_ids, Index.posts), None)

    async def trusted(self, post_ids: Sequence[str]) -> list[Post | None]:
        """The records that may be shown, in order; None also for those of a failing shard, if another one answers."""
        return _known(await self._by_shard(post_ids, post_ids, Index.trusted), None)

    async def states(self, post_ids: Sequence[str]) -> list[str | None]:
        """The posts' states, in order; `unknown` for posts of a shard that does not answer, if another one does."""
        return _known(await self._by_shard(post_ids, post_ids, Index.states), "unknown")

    async def counts(self, moment_id: str) -> Counts | None:
        """The sum over all shards, or None if it may not cover every post in the store."""
        parts = await asyncio.gather(*(one.counts(moment_id) for one in self._shards.values()))
        found = [one for one in parts if one is not None]
        return reduce(add, found) if len(found) == len(parts) else None

    async def counts_are_complete(self, moment_id: str, generation: str = "") -> None:
        """Mark the counts of a new moment complete on all shards that answer; the sweeper sees to the others."""
        await those_that_answer(one.counts_are_complete(moment_id, generation) for one in self._shards.values())

    async def _by_shard(
        self, items: Sequence[T], post_ids: Sequence[str], call: Callable[[Index, Sequence[T]], Awaitable[Sequence[R]]]
    ) -> list[R | Exception]:
        """Call each shard with its part of the items; an answer or an error for each item, in order."""
        positions: defaultdict[str, list[int]] = defaultdict(list)
        for position, post_id in enumerate(post_ids):
            positions[self.home(post_id)].append(position)

        async def part(name: str, mine: Sequence[int]) -> Sequence[R | Exception]:
            try:
                return await call(self._shards[name], [items[position] for position in mine])
            except (RedisError, OSError) as error:
                return [error] * len(mine)

        found: dict[int, R | Exception] = {}
        parts = await asyncio.gather(*(part(name, mine) for name, mine in positions.items()))
        for mine, answers in zip(positions.values(), parts, strict=True):
            found.update(zip(mine, answers, strict=True))
        return [found[position] for position in range(len(items))]


def _known(answers: Sequence[R | Exception], missing: R) -> list[R]:
    """The answers, with `missing` instead of errors; the first error if there is nothing else."""
    errors = [one for one in answers if isinstance(one, Exception)]
    if errors and len(errors) == len(answers):
        raise errors[0]
    return [missing if isinstance(one, Exception) else one for one in answers]
