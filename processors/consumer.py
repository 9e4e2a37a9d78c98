"""The worker's consumer of the queue, on all shards: claims jobs, extends leases, settles jobs, waits for the bell.

Each shard has three tasks. The settling task sends settlements that no claim has taken along: a claim settles and
claims in one round trip. The beating task extends the leases well before they expire and reports lost jobs. The
listening task waits for the shard's bell while the worker is idle (storage/queue/bell.py).

A shard that does not answer gets no claims until a beat reaches it again. Then jobs of claims whose answer was lost are
released, and jobs that ended meanwhile are settled; Redis refuses the settlement of a job that another worker holds by
now. This file does not know what jobs do.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

from redis.exceptions import RedisError

from storage.queue.claims import Claims, Room
from storage.queue.jobs import DEAR, FLAGS, QUEUES
from storage.queue.lease import Again, Claimed, Settlement, beat_s, order
from storage.refusals import reason

from .metrics import Metrics

log = logging.getLogger("snapsurge.processors.consumer")

AWAY_S = 0.5  # Seconds between two tries to reach a Redis that does not answer.
CLOSE_S = 2.0  # Seconds for the last settlements at the end; after that Redis counts as unavailable.
SETTLED_MAX = 256  # Settlements in one round trip.
# Seconds for which a settlement waits for a claim. A worker that is lost meanwhile has its job run again, without harm.
SETTLE_S = 1.5
# Seconds of one wait for a bell. More seconds without an answer mean that Redis is unavailable.
RING_S, RING_PATIENCE_S = 2.0, 2.0


class Shard:
    """This worker's state for one Redis: leased jobs, settlements to send, claims without an answer (`doubtful`)."""

    def __init__(self, name: str, claims: Claims) -> None:
        self.name = name
        self.claims = claims
        self.leased: dict[str, Claimed] = {}
        self.extended_s: dict[str, float] = {}  # when each lease was claimed or last extended
        self.unsettled: list[Settlement] = []
        self.unsettled_s = 0.0  # since when the first of them waits
        self.ended = asyncio.Event()
        self.doubtful: list[str] = []
        self.away = False
        # Held by the call that sends settlements, so that none is sent twice.
        self.settling = asyncio.Lock()

    def leased_now(self, claimed: Claimed) -> None:
        """Record a lease that was claimed or extended just now."""
        self.leased[claimed.id] = claimed
        self.extended_s[claimed.id] = asyncio.get_running_loop().time()

    def drop(self, job_id: str) -> None:
        """Forget the lease of a settled job."""
        del self.leased[job_id], self.extended_s[job_id]

    def add(self, settlement: Settlement) -> None:
        """Record a settlement that is to be sent."""
        if not self.unsettled:
            self.unsettled_s = asyncio.get_running_loop().time()
        self.unsettled.append(settlement)
        self.ended.set()

    def due(self, beat_s: float) -> list[Claimed]:
        """The leases to extend now; all while the shard is away."""
        since_s = asyncio.get_running_loop().time() - beat_s
        return [one for one in self.leased.values() if self.away or self.extended_s[one.id] <= since_s]


class Consumer:
    """`async with Consumer(…)`: claim and settle jobs; the exit sends the remaining settlements if Redis answers.

    `worker` is a unique name of this process. `lost` is called with the id of each job whose lease expired, `wake` when
    there may be jobs to claim.
    """

    def __init__(
        self,
        shards: Mapping[str, Claims],
        *,
        worker: str,
        lease_s: float,
        metrics: Metrics,
        lost: Callable[[str], None],
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        self._shards = [Shard(name, claims) for name, claims in shards.items()]
        self._worker = worker
        self._beat_s = beat_s(lease_s)
        self._metrics = metrics
        self._lost = lost
        self._wake = wake
        self._claims_made = 0
        self._idle = asyncio.Event()
        # Seconds from the last claim until a job is due on a shard that it read; 0 if more jobs may be ready.
        self.due_s = 0.0
        self._tasks = asyncio.TaskGroup()
        self._running: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        for shard in self._shards:
            self._running.append(self._tasks.create_task(self._settling(shard), name=f"settling-{shard.name}"))
            self._running.append(self._tasks.create_task(self._beating(shard), name=f"beating-{shard.name}"))
            self._running.append(self._tasks.create_task(self._listening(shard), name=f"listening-{shard.name}"))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                for shard in self._shards:
                    while shard.unsettled and not shard.away:
                        await self._settle(shard)
        for task in self._running:
            task.cancel()
        await self._tasks.__aexit__(None, None, None)

    async def claim(self, room: Room, *, dear: bool = True) -> list[Claimed]:
        """Claim jobs for this room, or one expensive job alone, from the shards that answer.

        Each call begins with another shard. `dear` allows expensive jobs. In a room for flags alone, other queues are
        not even looked at.
        """
        self._claims_made += 1
        claimed: list[Claimed] = []
        queues = [queue for queue in order(QUEUES, self._claims_made) if dear or queue != DEAR]
        if not room.free:
            queues = [FLAGS]
        start = self._claims_made % len(self._shards)
        self.due_s = float("inf")
        for shard in (*self._shards[start:], *self._shards[:start]):
            left = _left(room, claimed) if claimed else room
            if left is None:
                self.due_s = 0.0
                break
            if claimed:
                queues = [queue for queue in queues if queue != DEAR]
            if not shard.away:
                claimed += await self._claim_on(shard, left, queues)
        return claimed

    def listen(self, *, idle: bool) -> None:
        """Say whether the worker has nothing to do and wants to hear the bells."""
        if idle:
            self._idle.set()
        else:
            self._idle.clear()

    def settle(self, settlement: Settlement) -> None:
        """Record how a claimed job ended; the shard's settling task sends it to Redis."""
        for shard in self._shards:
            lease = shard.leased.get(settlement.claimed.id)
            if lease is not None and lease.token == settlement.claimed.token:
                shard.add(settlement)

    async def _claim_on(self, shard: Shard, room: Room, queues: list[str]) -> list[Claimed]:
        found = await self._settle_and_claim(shard, room, queues)
        self._metrics.claims.inc(len(found))
        claimed = []
        for one in found:
            self._metrics.lapses.inc(one.deaths > 0)
            if any(one.id in other.leased for other in self._shards):
                # This worker lost the job's lease and still runs it. That run's settlement will be refused, so the job
                # must run again, but not at the same time: it goes back to the queue with a delay of one beat.
                shard.add(Again(one, one.attempts, self._beat_s))
            else:
                shard.leased_now(one)
                claimed.append(one)
        return claimed

    async def _settle_and_claim(self, shard: Shard, room: Room, queues: list[str]) -> list[Claimed]:
        """Settle what ended and claim; nothing if the shard does not answer."""
        token = f"{self._worker}:{self._claims_made}"
        async with shard.settling:
            batch = shard.unsettled[:SETTLED_MAX]
            try:
                answer = await shard.claims.settle_and_claim(token, room, batch, queues)
            except (RedisError, OSError) as error:
                if queues:
                    shard.doubtful.append(token)
                self._went_away(shard, error)
                return []
            del shard.unsettled[: len(batch)]
        self._metrics.refused.inc(answer.kept.count(False))
        for one in batch:
            lease = shard.leased.get(one.claimed.id)
            if lease is not None and lease.token == one.claimed.token:
                shard.drop(one.claimed.id)
        if answer.next_ms >= 0:
            self.due_s = min(self.due_s, answer.next_ms / 1000)
        return answer.claimed

    async def _settle(self, shard: Shard) -> None:
        await self._settle_and_claim(shard, Room(0), [])

    async def _settling(self, shard: Shard) -> None:
        while True:
            await shard.ended.wait()
            shard.ended.clear()
            while shard.unsettled:
                # Those that waited when the task began to sleep may have gone with a claim.
                left_s = shard.unsettled_s + SETTLE_S - asyncio.get_running_loop().time()
                await asyncio.sleep(max(left_s, AWAY_S if shard.away else 0))
                if left_s <= 0:
                    await self._settle(shard)

    async def _listening(self, shard: Shard) -> None:
        while True:
            await self._idle.wait()
            try:
                rang = await shard.claims.rung(RING_S, patience_s=RING_PATIENCE_S)
                if rang and not self._idle.is_set():
                    await shard.claims.ring()  # for another worker: this one found a job since
                elif rang:
                    self._wake()
            except (RedisError, OSError):
                await asyncio.sleep(AWAY_S)  # the next claim or beat finds out whether the shard is away

    async def _beating(self, shard: Shard) -> None:
        while True:
            # Looked at twice a beat: a lease is extended after one beat to one and a half, and most jobs end before.
            await asyncio.sleep(AWAY_S if shard.away else self._beat_s / 2)
            due = shard.due(self._beat_s)
            try:
                while shard.doubtful:
                    await shard.claims.release(shard.doubtful[-1])
                    shard.doubtful.pop()
                lost = await shard.claims.extend(due)
            except (RedisError, OSError) as error:
                self._went_away(shard, error)
                continue
            if shard.away:
                log.warning("queue shard %s is available again", shard.name)
                shard.away = False
                self._wake()
            ended = {one.claimed.id for one in shard.unsettled}  # settled by a call that is not answered yet, perhaps
            for one in lost:
                if shard.leased.get(one.id) is one and one.id not in ended:
                    self._lost(one.id)
            for one in due:
                if shard.leased.get(one.id) is one:
                    shard.leased_now(one)

    def _went_away(self, shard: Shard, error: Exception) -> None:
        if not shard.away:
            log.warning(
                "queue shard %s is unavailable; results of its jobs are sent when it answers: %s",
                shard.name,
                reason(error),
            )
        shard.away = True


def _left(room: Room, claimed: list[Claimed]) -> Room | None:
    """The room that these claimed jobs leave; None without any."""
    if any(one.queue == DEAR for one in claimed):
        return None
    flags = sum(one.queue == FLAGS for one in claimed)
    free = room.free - (len(claimed) - flags)
    left = Room(max(free, 0), max(min(room.ahead, room.ahead + free), 0), room.flags - flags)
    return left if left.free or left.ahead else None
