"""Counts a node's tries by moment and outcome, and writes the totals to Redis once a second (`storage/tallies.py`).

An upload costs a few additions, with its part of a log line; nothing waits for Redis. While Redis is unavailable the
totals wait. What Redis has lost is written again, for as long as the node remembers the moment: until `QUIET_S` after
its last try. A node that is killed loses at most the last second, and the account says so, because nothing told that
the life was over.
"""

import asyncio
import contextlib
import logging
import secrets
import time
from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import Self

from cachetools import LRUCache
from redis.asyncio import Redis
from redis.exceptions import RedisError

from storage.keys import moment_of
from storage.refusals import reason
from storage.tallies import Tally, tell

from .outages import Outage

log = logging.getLogger("snapsurge.ingest.tallying")

TELL_S = 1.0
# Moments that a node counts at the same time: each takes tries for a day. Beyond it the one that had no tries for the
# longest is forgotten.
MOMENTS_MAX = 64
QUIET_S = 2 * 3600.0
# Refused pairs of a moment that a node remembers, 100 bytes each. Beyond it the account says that some are missing.
REFUSED_MAX = 50_000
# Tries that log lines name: so many a second, so many in a line.
TRIES_MAX, TRIES_LINE = 4_000, 64
# Refused pairs in one call.
BATCH = 2_000
# Moments that changed this long ago are written again even so, in case Redis lost them.
AGAIN_S = 15.0


class Count:
    """The totals of one moment at this node. `life` names them: a moment that was forgotten begins another one."""

    def __init__(self, node: str) -> None:
        self.node, self.life = node, f"{node}:{secrets.token_hex(4)}"
        self.tries: Counter[str] = Counter()
        self.retries = 0
        self.cpu_s = 0.0
        self.fresh = 0  # tries since the last write
        self.refused: dict[str, int] = {}
        self.told = 0  # refused pairs that Redis has
        self.writes = self.confirmed = 0
        self.cut = False
        self.dirty = False
        self.told_s = self.tried_s = 0.0

    def tally(self, told: int, at_s: float, *, over: bool) -> Tally:
        """The totals as they are written at this unix time, with so many refused pairs."""
        self.writes += 1
        cpu_ms, at_ms = round(self.cpu_s * 1000), int(at_s * 1000)
        return Tally(self.node, dict(self.tries), self.retries, cpu_ms, told, self.cut, self.writes, at_ms, over)


class Tallying:
    """`async with Tallying(redis, node) as tallying`; leaving writes the last totals, if Redis takes them."""

    def __init__(
        self,
        redis: Redis,
        node: str,
        *,
        cpu: Callable[[], float] = time.process_time,
        monotonic: Callable[[], float] = time.monotonic,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._redis, self._node, self._clock = redis, node, clock
        self._counts: LRUCache[str, Count] = LRUCache(MOMENTS_MAX)
        self._cpu, self._monotonic = cpu, monotonic
        self._cpu_s = cpu()
        self._outage = Outage()
        self._tries: list[tuple[str, str, str, int]] = []
        self._left_out = 0
        self._tasks = asyncio.TaskGroup()

    def ended(
        self, post_id: str, outcome: str, received_at_ms: int, *, retry: bool, ours: bool, request_id: str = ""
    ) -> None:
        """Count a try of this post; one that was refused for the service's sake (`ours`) with its pair."""
        moment_id = moment_of(post_id)
        count = self._counts.get(moment_id)
        if count is None:
            count = self._counts[moment_id] = Count(self._node)
        count.tries[outcome] += 1
        count.retries += retry
        count.fresh += 1
        count.dirty = True
        if len(self._tries) < TRIES_MAX:
            self._tries.append((request_id, post_id, outcome, time.time_ns() // 1_000_000))
        else:
            self._left_out += 1
        if ours:
            digest = post_id[: -len(moment_id) - 1]
            if len(count.refused) < REFUSED_MAX:
                count.refused.setdefault(digest, received_at_ms)
            elif digest not in count.refused:
                count.cut = True

    async def write(self, *, over: bool = False) -> None:
        """Write the totals that changed, now and then the others; forget moments that are over. redis.RedisError.

        `over`: the node ends, so all are written for the last time.
        """
        cpu_s = self._cpu()
        spent_s, self._cpu_s = cpu_s - self._cpu_s, cpu_s
        counts = dict(self._counts.items())
        fresh = sum(count.fresh for count in counts.values())
        for count in counts.values():
            if count.fresh:
                count.cpu_s += spent_s * count.fresh / fresh
                count.fresh = 0
                count.tried_s = self._monotonic()
        for moment_id, count in counts.items():
            last = over or (not count.dirty and self._monotonic() - count.tried_s > QUIET_S)
            if last or count.dirty or self._monotonic() - count.told_s > AGAIN_S:
                await self._write(moment_id, count, over=last)
            if last and not count.dirty and self._counts.get(moment_id) is count:
                del self._counts[moment_id]

    async def _write(self, moment_id: str, count: Count, *, over: bool) -> None:
        count.dirty = False
        refused = list(count.refused.items())
        try:
            while True:
                some = dict(refused[count.told : count.told + BATCH])
                tally = count.tally(count.told + len(some), self._clock(), over=over)
                told = await tell(self._redis, moment_id, count.life, tally, some, confirmed=count.confirmed)
                if told == tally.told:
                    count.confirmed = tally.writes
                count.told = told
                if count.told >= len(refused):
                    break
        except BaseException:  # also when it is cancelled: the last write, at the node's end, must not leave it out
            count.dirty = True
            raise
        count.told_s = self._monotonic()

    def log(self) -> None:
        """Write a line for some dozens of tries, so that a request id leads to its post; one each would cost more.

        Of each try: request id, post id, outcome, and when it ended in unix milliseconds.
        """
        tries, self._tries = self._tries, []
        for start in range(0, len(tries), TRIES_LINE):
            some = tries[start : start + TRIES_LINE]
            log.info("%d upload attempts finished", len(some), extra={"fields": {"tries": some}})
        if self._left_out:
            log.info("%d more upload attempts finished in this second; their ids are not logged", self._left_out)
            self._left_out = 0

    async def _writing(self) -> None:
        while True:
            await asyncio.sleep(TELL_S)
            self.log()
            try:
                await self.write()
                if self._outage.worked(self._monotonic()):
                    log.info("upload counts are written to Redis again, including those of the outage")
            except (RedisError, OSError) as error:
                if self._outage.failed(self._monotonic()):
                    log.warning(
                        "cannot write upload counts to Redis (%s): kept in memory until Redis answers; fix Redis",
                        reason(error) if isinstance(error, RedisError) else error,
                    )

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        self._writer = self._tasks.create_task(self._writing(), name="tallies")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.cancel()
        await self._tasks.__aexit__(None, None, None)
        self.log()
        with contextlib.suppress(RedisError, OSError):
            await self.write(over=True)
