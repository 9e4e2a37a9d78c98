"""The jobs that one worker holds on all queue shards: claim them, extend their leases, settle them.

Each shard has two tasks. The settling task sends settlements to Redis in batches: those that arrive during a round trip
go with the next one. No job waits for its settlement, so a slot is free as soon as its job ends. The beating task
extends the leases well before they expire and reports lost jobs. A shard that does not answer gets no claims until a
beat reaches it again. Then jobs of claims whose answer was lost are released, and jobs that ended meanwhile are
settled; Redis refuses the settlement of a job that another worker holds by now. This file does not know what jobs do.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

from redis.exceptions import RedisError

from storage.queue.claims import Claims
from storage.queue.jobs import DEAR, QUEUES
from storage.queue.lease import Again, Claimed, Settlement, beat_s, order
from storage.refusals import reason

from .metrics import Metrics

log = logging.getLogger("snapsurge.processors.holding")

AWAY_S = 0.5  # Seconds between two tries to reach a Redis that does not answer.
CLOSE_S = 2.0  # Seconds for the last settlements at the end; after that Redis counts as unavailable.
SETTLED_MAX = 256  # Settlements in one round trip.


class Shard:
    """This worker's state for one Redis: jobs held, settlements to send, and claims without an answer (`doubtful`)."""

    def __init__(self, name: str, claims: Claims) -> None:
        self.name = name
        self.claims = claims
        self.held: dict[str, Claimed] = {}
        self.unsettled: list[Settlement] = []
        self.ended = asyncio.Event()
        self.doubtful: list[str] = []
        self.away = False


class Holding:
    """`async with Holding(…)`: claim and settle jobs; the exit sends the remaining settlements if Redis answers.

    `worker` is a unique name of this process. `lost` is called with the id of each job whose lease expired.
    """

    def __init__(
        self,
        shards: Mapping[str, Claims],
        *,
        worker: str,
        lease_s: float,
        metrics: Metrics,
        lost: Callable[[str], None],
    ) -> None:
        self._shards = [Shard(name, claims) for name, claims in shards.items()]
        self._worker = worker
        self._beat_s = beat_s(lease_s)
        self._metrics = metrics
        self._lost = lost
        self._turn = 0
        self._tasks = asyncio.TaskGroup()
        self._running: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        for shard in self._shards:
            self._running.append(self._tasks.create_task(self._settling(shard), name=f"settling-{shard.name}"))
            self._running.append(self._tasks.create_task(self._beating(shard), name=f"beating-{shard.name}"))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        deadline = asyncio.get_running_loop().time() + CLOSE_S
        while any(shard.unsettled and not shard.away for shard in self._shards):
            if asyncio.get_running_loop().time() > deadline:
                break
            await asyncio.sleep(0.001)
        for task in self._running:
            task.cancel()
        await self._tasks.__aexit__(None, None, None)

    async def claim(self, free: int, *, dear: bool = True) -> list[Claimed]:
        """Claim up to `free` jobs, or one expensive job alone, from the shards that answer.

        Each call begins with another shard. `dear` allows expensive jobs.
        """
        self._turn += 1
        claimed: list[Claimed] = []
        queues = [queue for queue in order(QUEUES, self._turn) if dear or queue != DEAR]
        start = self._turn % len(self._shards)
        for shard in (*self._shards[start:], *self._shards[:start]):
            if claimed and claimed[-1].queue == DEAR:
                break
            if claimed:
                queues = [queue for queue in queues if queue != DEAR]
            if len(claimed) < free and not shard.away:
                claimed += await self._claim_on(shard, free - len(claimed), queues)
        return claimed

    def settle(self, settlement: Settlement) -> None:
        """Record how a claimed job ended; the shard's settling task sends it to Redis."""
        for shard in self._shards:
            held = shard.held.get(settlement.claimed.id)
            if held is not None and held.token == settlement.claimed.token:
                shard.unsettled.append(settlement)
                shard.ended.set()

    async def _claim_on(self, shard: Shard, free: int, queues: list[str]) -> list[Claimed]:
        token = f"{self._worker}:{self._turn}"
        try:
            found = await shard.claims.claim(token, free, queues)
        except (RedisError, OSError) as error:
            shard.doubtful.append(token)
            self._went_away(shard, error)
            return []
        self._metrics.claims.inc(len(found))
        claimed = []
        for one in found:
            self._metrics.lapses.inc(one.deaths > 0)
            if any(one.id in other.held for other in self._shards):
                # This worker lost the job's lease and still runs it. That run's settlement will be refused, so the job
                # must run again, but not at the same time: it goes back to the queue with a delay of one beat.
                shard.unsettled.append(Again(one, one.attempts, self._beat_s))
                shard.ended.set()
            else:
                shard.held[one.id] = one
                claimed.append(one)
        return claimed

    async def _settling(self, shard: Shard) -> None:
        while True:
            await shard.ended.wait()
            shard.ended.clear()
            while shard.unsettled:
                batch = shard.unsettled[:SETTLED_MAX]
                try:
                    kept = await shard.claims.settle(batch)
                except (RedisError, OSError) as error:
                    self._went_away(shard, error)
                    await asyncio.sleep(AWAY_S)
                    continue
                del shard.unsettled[: len(batch)]
                self._metrics.refused.inc(kept.count(False))
                for one in batch:
                    held = shard.held.get(one.claimed.id)
                    if held is not None and held.token == one.claimed.token:
                        del shard.held[one.claimed.id]

    async def _beating(self, shard: Shard) -> None:
        while True:
            await asyncio.sleep(AWAY_S if shard.away else self._beat_s)
            try:
                while shard.doubtful:
                    await shard.claims.release(shard.doubtful[-1])
                    shard.doubtful.pop()
                lost = await shard.claims.extend(list(shard.held.values()))
            except (RedisError, OSError) as error:
                self._went_away(shard, error)
                continue
            if shard.away:
                log.warning("queue shard %s is available again", shard.name)
                shard.away = False
            for one in lost:
                if shard.held.get(one.id) is one:
                    self._lost(one.id)

    def _went_away(self, shard: Shard, error: Exception) -> None:
        if not shard.away:
            log.warning("queue shard %s is unavailable, results of its jobs wait: %s", shard.name, reason(error))
        shard.away = True
