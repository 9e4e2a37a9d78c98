"""The Redis index of posts and moments: a fast copy of the store, which may be lost at any time.

Nodes, workers and a rebuild may report the same post any number of times, concurrently and in any order, and the counts
stay exact. Attempts are ordered by their ids: a delayed report undoes nothing. A *proof* is Redis' *life* and time,
asked before the process learned from the store that an attempt is current; a life ends with a loss of the data, a
restart, or a failover. Which records may be shown is decided in trust.py.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Literal, NamedTuple, TypeVar, cast

import msgspec
from redis.asyncio import Redis

from .connections import only_primary, term
from .index_scripts import (
    COMPLETE,
    COUNTS,
    COUNTS_TTL_S,
    FORGET,
    OBSERVE,
    PROOF,
    PUT_MOMENTS,
    RECOUNT,
    STATES,
    UNCOUNTED,
)
from .keys import COUNTS_KEY, DELETION_KEY, MOMENT_KEY, MOMENTS_KEY, MOMENTS_LISTED_KEY, POST_KEY, is_moment_id
from .records import ACCEPTING_MS, ATTEMPT_ID_CHARS, Moment, Post, to_ms
from .scripts import Call, run_one
from .trust import records, trusted

T = TypeVar("T")

Observed = Literal["new", "known", "stale", "deleted", "unproven"]

_COUNTED = ("accepted", "on_time", "late", "ready", "rejected")

_ATTEMPT = re.compile(f"[0-9a-f]{{{ATTEMPT_ID_CHARS}}}")
_decode_post = msgspec.json.Decoder(Post).decode
_decode_moment = msgspec.json.Decoder(Moment).decode

# If the process that created a moment could not reach Redis, other processes find the moment in the store after at most
# LISTED_TTL_S. Regular readers list the store again at LISTED_DUE_S, before the listing expires, so that no request
# waits for it.
LISTED_TTL_S = 60
LISTED_DUE_S = 30
# Moments in one call of a script: Redis does nothing else meanwhile, and others' calls must not time out.
MOMENTS_AT_ONCE = 100
# Keys that one command looks at, about a millisecond's work of Redis; and what begins the ids of posts, as a pattern.
SCANNED = 1000
POST_DIGEST = "[a-z2-7]" * 26


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """The number of a moment's posts by state; `pending` posts are neither ready nor rejected."""

    accepted: int = 0
    on_time: int = 0
    late: int = 0
    ready: int = 0
    rejected: int = 0
    pending: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(**{name: getattr(self, name) + getattr(other, name) for name in self.__struct_fields__})


class Report(NamedTuple):
    """A post, and the proof of this post's Redis from before the post was read from the store, or committed to it."""

    post: Post
    proof: str = ""


class Index:
    """The index in one Redis. Every method may raise redis.RedisError; callers must be able to work without it.

    `epoch` names the set of shards that the caller knows; sharded_index.py has the index in several Redis.
    """

    def __init__(self, redis: Redis, epoch: str = "") -> None:
        self._redis = redis
        self._epoch = epoch

    @property
    def shards(self) -> Mapping[str, "Index"]:
        """The parts of the index by name; a method of a part is about its own posts alone."""
        return {"": self}

    def home(self, _post_id: str) -> str:
        """The name of the shard that has this post."""
        return ""

    async def proof(self) -> str:
        """A proof, for reports of posts that are read from the store, or committed to it, after this."""
        # The attempt can only have been deleted after this, and a Redis that is still in this life still knows it.
        proof: bytes = await run_one(self._redis, PROOF())
        return proof.decode()

    async def observe(self, reports: Sequence[Report]) -> list[Observed]:
        """Report posts to the index; see `observing`."""
        if not reports:
            return []
        return cast("list[Observed]", [one.decode() for one in await run_one(self._redis, self.observing(reports))])

    def observing(self, reports: Sequence[Report]) -> Call:
        """The call that reports posts, for a caller that sends it with others.

        A finished post carries its late flag. One answer for each post: `new` (the index did not have it), `known`,
        `stale` (the entry is of a younger attempt: this post was deleted and posted again), `deleted`, or `unproven`
        (the index does not have it, or of an earlier generation, and the proof is not good: nothing was written).
        """
        fields: list[Any] = [self._epoch]
        for post, proof in reports:
            late = "" if post.late_by_ms is None else post.late_by_ms
            complete = int(post.state != "accepted" and post.complete)
            fields += [post.id, post.moment_id, post.state, late, post.attempt, complete]
            fields += [msgspec.json.encode(post), proof]
        # The script subtracts the old entry from the moment's counts and adds the new one, so the counts always equal
        # the sum of the entries. An entry is replaced only by a younger attempt's, and a record without `full` never
        # replaces one that has it. It creates an entry only with a good proof (of seconds): Redis may have lost a
        # deletion's id while an older report is on its way. Without one the post is read from the store, until one of
        # its jobs reports it.
        return OBSERVE((), *fields)

    async def forget(self, post_id: str, moment_id: str, deletion: str) -> None:
        """Remove a post from index and counts, unless its attempt is younger than `deletion`; stores that id."""
        # The id is kept as long as the entries are, and rejects all attempts before it.
        await run_one(self._redis, FORGET((), post_id, moment_id, deletion))

    def only_primary(self, _post_id: str) -> AbstractAsyncContextManager[None]:
        """For who answers that the post is deleted: redis.RedisError at the end if another primary may show it."""
        return only_primary(self._redis)

    async def drop(self, post_ids: Sequence[str]) -> None:
        """Remove the entries of these posts, which stay in the counts: the caller voids or removes those."""
        if post_ids:
            await self._redis.delete(*(POST_KEY + one for one in post_ids))

    async def deletion(self, post_id: str) -> str:
        """The id of the post's last deletion that was reported to the index; empty if there was none."""
        found = await self._redis.get(DELETION_KEY + post_id)
        deletion = (found or b"").decode("ascii", "replace")
        return deletion if _ATTEMPT.fullmatch(deletion) else ""

    async def posts(self, post_ids: Sequence[str]) -> list[Post | None]:
        """The posts' records, in order; None for each post that the index does not have.

        Redis may lack a deletion of them: to show a record, use `trusted`.
        """
        return [_read(_decode_post, one) for one in await records(self._redis, post_ids)]

    async def trusted(self, post_ids: Sequence[str]) -> list[Post | None]:
        """The records that may be shown, in order; None where only the store knows whether the post still exists."""
        return [_read(_decode_post, one) for one in await trusted(self._redis, post_ids)]

    async def scan(self, moment_id: str, cursor: int, most: int = SCANNED) -> tuple[int, list[str]]:
        """Look at `most` keys of this Redis: the ids of the moment's posts among them, and the next cursor, 0 at last.

        An entry that is there all the time comes at least once; begin with cursor 0.
        """
        following, found = await self._redis.scan(cursor, f"{POST_KEY}{POST_DIGEST}-{moment_id}", most)
        return int(following), [one.decode().removeprefix(POST_KEY) for one in found]

    async def keep(self, post_id: str) -> None:
        """Keep the entry of a post for as long as counts are kept."""
        await self._redis.expire(POST_KEY + post_id, COUNTS_TTL_S)

    async def states(self, post_ids: Sequence[str]) -> list[str | None]:
        """The posts' states, in order, without their records; None for each post that the index does not have."""
        # One command and one answer: as many commands cost the caller three times the CPU.
        found = await run_one(self._redis, STATES((), *post_ids))
        return [None if state is None else state.decode() for state in found]

    async def counts(self, moment_id: str) -> Counts | None:
        """The moment's counts, or None if they may not cover every post in the store."""
        # Complete only for the reign (`reign.py`) in which their recount began, and for one *epoch*, a set of shards: a
        # caller with another set counts nothing, and voids their mark.
        call = COUNTS([COUNTS_KEY + moment_id], await term(self._redis), self._epoch, *_COUNTED)
        numbers = await run_one(self._redis, call)
        if numbers is None:
            return None
        return counts_of({name: int(number or 0) for name, number in zip(_COUNTED, numbers, strict=True)})

    async def uncounted(self, moment_ids: Sequence[str]) -> list[str]:
        """Those of these moments whose counts may not cover every post in the store."""
        found: list[str] = []
        for start in range(0, len(moment_ids), MOMENTS_AT_ONCE):
            some = moment_ids[start : start + MOMENTS_AT_ONCE]
            call = UNCOUNTED([COUNTS_KEY + one for one in some], await term(self._redis), self._epoch)
            found += [some[position - 1] for position in await run_one(self._redis, call)]
        return found

    async def recount(self, moment_id: str) -> str:
        """Begin a recount of the moment's posts, or join one in progress; returns its generation of counts."""
        # A new generation begins at zero, and each entry stores the one in which it was counted: counts that lost a
        # part (Redis was emptied, entries expired) are never taken for complete, no post is counted twice.
        call = RECOUNT([COUNTS_KEY + moment_id], await term(self._redis), self._epoch)
        generation: bytes = await run_one(self._redis, call)
        return generation.decode()

    async def counts_are_complete(self, moment_id: str, generation: str = "") -> None:
        """Mark the counts complete: every post of the moment in the store was observed since this recount began."""
        call = COMPLETE([COUNTS_KEY + moment_id], await term(self._redis), self._epoch, generation)
        await run_one(self._redis, call)

    async def void_counts(self, moment_ids: Sequence[str]) -> None:
        """Remove the counts of these moments, so that they are recounted from zero.

        Without the mark of completeness alone, a recount would join the generation that has the wrong counts.
        """
        if moment_ids:
            await self._redis.delete(*(COUNTS_KEY + one for one in moment_ids))

    async def put_moments(self, moments: Sequence[Moment], *, listed: tuple[int, int] | None = None) -> None:
        """Copy moments into the index; `listed` (first, last, unix ms): they are all that fire in this time range."""
        for start in range(0, max(len(moments), 1), MOMENTS_AT_ONCE):
            some, is_last = moments[start : start + MOMENTS_AT_ONCE], start + MOMENTS_AT_ONCE >= len(moments)
            # The time range is complete with the last of them.
            fields: list[Any] = [f"{listed[0]} {listed[1]}" if listed and is_last else "", LISTED_TTL_S]
            for one in some:
                fields += [one.id, one.region, to_ms(one.fires_at), one.revision, int(one.cancelled)]
                fields.append(msgspec.json.encode(one))
            await run_one(self._redis, PUT_MOMENTS((), *fields))

    async def remove_moment(self, moment_id: str, region: str) -> None:
        """Remove the copy of a moment that is no more, and its counts."""
        pipe = self._redis.pipeline(transaction=False)
        pipe.delete(MOMENT_KEY + moment_id, COUNTS_KEY + moment_id)
        pipe.zrem(MOMENTS_KEY, moment_id)
        pipe.zrem(f"{MOMENTS_KEY}:{region}", moment_id)
        await pipe.execute()

    async def moment(self, moment_id: str) -> Moment | None:
        """The moment, or None if the index does not have it."""
        found = await self._redis.get(MOMENT_KEY + moment_id)
        return _read(_decode_moment, found)

    async def moments(self, moment_ids: Sequence[str]) -> list[Moment | None]:
        """The moments, in order; None for each that the index does not have."""
        found = await self._redis.mget([MOMENT_KEY + one for one in moment_ids])
        return [_read(_decode_moment, one) for one in found]

    async def current_moment_id(self, region: str, now_ms: int) -> tuple[str | None, bool]:
        """The region's last moment that has fired and accepts posts; False if the store may have another one."""
        since_ms = now_ms - ACCEPTING_MS
        pipe = self._redis.pipeline(transaction=False)
        pipe.get(MOMENTS_LISTED_KEY)
        pipe.pttl(MOMENTS_LISTED_KEY)
        pipe.zrevrangebyscore(f"{MOMENTS_KEY}:{region}", now_ms, since_ms, start=0, num=1)
        listed, left_ms, found = await pipe.execute()
        ids = [one.decode(errors="replace") for one in found]
        known = left_ms <= LISTED_TTL_S * 1000 and _covers(listed, since_ms, now_ms) and all(map(is_moment_id, ids))
        return next(iter(ids), None), known

    async def moment_ids(self, since_ms: int, until_ms: int) -> tuple[list[str] | None, bool]:
        """The moments that fire in this time range, in order, and whether the caller should list the store again.

        None instead of the ids if the index may not have all of them.
        """
        pipe = self._redis.pipeline(transaction=False)
        pipe.get(MOMENTS_LISTED_KEY)
        pipe.pttl(MOMENTS_LISTED_KEY)
        pipe.zrangebyscore(MOMENTS_KEY, since_ms, until_ms)
        listed, left_ms, found = await pipe.execute()
        # More time left than its whole time to live: Redis' clock was set back since, so the listing is stale.
        due = not LISTED_DUE_S * 1000 < left_ms <= LISTED_TTL_S * 1000
        ids = [one.decode(errors="replace") for one in found]
        return [one for one in ids if is_moment_id(one)] if _covers(listed, since_ms, until_ms) else None, due


def _read(decode: Callable[[bytes], T], found: bytes | None) -> T | None:
    """Decode an entry; an unreadable entry counts as missing, because the store has the truth."""
    try:
        return None if found is None else decode(found)
    except (ValueError, RecursionError):
        return None


def counts_of(numbers: Mapping[str, int]) -> Counts:
    """Counts from numbers by name; a name that is missing counts as 0."""
    pending = numbers.get("accepted", 0) - numbers.get("ready", 0) - numbers.get("rejected", 0)
    return Counts(**numbers, pending=pending)


def _covers(listed: bytes | None, since_ms: int, until_ms: int) -> bool:
    """Whether the listing stored in Redis covers this whole time range."""
    try:
        first_ms, last_ms = map(int, (listed or b"").split())
    except ValueError:
        return False
    return first_ms <= since_ms and until_ms <= last_ms
