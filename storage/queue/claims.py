"""Claiming jobs from one Redis: scripts that settle and claim jobs in one turn, extend leases, and release them.

A claim takes jobs that are ready (an expensive job alone), sets their scores to the end of the lease and records the
holder, in one atomic step. So claimed jobs never block the head of a queue, two workers never get the same job, and the
jobs of a dead worker become ready again when their leases end. redis_clock.py has the clock. Later calls about a job
must present the claim's token. The token fences a worker that was presumed dead: its settlement is refused.

The scripts are in lease_scripts.py, the rules and their reasons in lease.py.
"""

import time
from collections.abc import Sequence
from typing import Any, cast

import msgspec
from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.exceptions import NoScriptError

from ..scripts import Call, run_one
from .bell import ring, rung
from .jobs import QUEUES
from .lease import Again, Attempts, Claimed, Done, Settlement
from .lease_scripts import EXTEND, NOTE_DEATHS, REVIVE, TURN

# Lua's unpack puts its arguments on a stack of 8,000 entries.
BATCH = 1000

# Loaded together, so that Redis has all of them or none. Nothing else loads them.
_SCRIPTS = (TURN, EXTEND, REVIVE)


class Turn(msgspec.Struct, frozen=True):
    """What `settle_and_claim` did: settlements that counted, jobs claimed, milliseconds until the next job is due.

    `next_ms` is -1 if the queues that were read have no other job; 0 if more jobs were ready than could be claimed.
    """

    kept: list[bool]
    claimed: list[Claimed]
    next_ms: int = -1


class Room(msgspec.Struct, frozen=True):
    """How many jobs to claim: for free slots, ahead of free slots, and flags, which need no slot."""

    free: int
    ahead: int = 0
    flags: int = 0


class Claims:
    """One worker's leases on one Redis. Every method may raise redis.RedisError, and may then have taken effect."""

    def __init__(self, redis: Redis, lease_s: float) -> None:
        self._redis = redis
        self._lease_ms = int(lease_s * 1000)

    async def settle_and_claim(
        self, token: str, room: Room, settlements: Sequence[Settlement] = (), queues: Sequence[str] = QUEUES
    ) -> Turn:
        """Settle up to `BATCH` jobs, then claim from the queues in this order.

        `token` is `worker:number`, never used before. A settlement counts if this worker still holds the job.
        """
        fields: list[Any] = []
        for one in settlements:
            fields += [*_lease(one.claimed), *_words(one)]
        kept, found, next_ms = await self._run(
            TURN(queues, token, self._lease_ms, room.free, room.ahead, room.flags, *fields)
        )
        at_ms = time.time_ns() // 1_000_000
        claimed = [
            Claimed(
                id=job_id.decode(errors="replace"),
                body=body,
                queue=queue.decode(),
                token=token,
                attempts=Attempts(faults, outages, lapses, failed_by.decode(errors="replace")),
                waited_s=max(waited_ms, 0) / 1000,
                deaths=deaths,
                at_ms=at_ms,
            )
            for job_id, body, queue, waited_ms, faults, outages, lapses, deaths, failed_by in found
        ]
        return Turn([bool(one) for one in kept], claimed, next_ms)

    async def claim(self, token: str, free: int, queues: Sequence[str] = QUEUES) -> list[Claimed]:
        """Up to `free` ready jobs that need a slot, and as many flags, from the queues in this order."""
        return (await self.settle_and_claim(token, Room(free, flags=free), queues=queues)).claimed

    async def settle(self, settlements: Sequence[Settlement]) -> list[bool]:
        """Settle up to `BATCH` jobs; False for each that was refused because this worker no longer holds it."""
        return (await self.settle_and_claim("", Room(0), settlements, ())).kept if settlements else []

    async def extend(self, claimed: Sequence[Claimed]) -> list[Claimed]:
        """Extend these leases by a full lease from now; returns the jobs that this worker no longer holds."""
        lost: list[Claimed] = []
        for start in range(0, len(claimed), BATCH):
            batch = claimed[start : start + BATCH]
            fields = [field for one in batch for field in _lease(one)]
            answers = await self._run(EXTEND((), self._lease_ms, *fields))
            lost += [one for one, kept in zip(batch, answers, strict=True) if not kept]
        return lost

    async def release(self, token: str) -> int:
        """Release the jobs of a claim whose answer was lost, by its token; returns how many."""
        return int(await self._run(REVIVE((), self._lease_ms, token)))

    async def rung(self, seconds: float, *, patience_s: float) -> bool:
        """Wait for the queue's bell at most so many seconds; whether it rang."""
        return await rung(self._redis, seconds, patience_s=patience_s)

    async def ring(self) -> None:
        """Wake another idle worker."""
        await ring(self._redis)

    async def _run(self, call: Call) -> Any:  # noqa: ANN401 - Lua's answer
        """Run the script. If Redis lost it, first extend every worker's leases and load all scripts."""
        try:
            return await self._call(call)
        except NoScriptError:
            # A Redis that restarted has lost its scripts, and no worker could extend a lease while it was down. So a
            # lapse still means that a worker failed, not that Redis did.
            pipe: Pipeline = self._redis.pipeline(transaction=False)
            pipe.eval(REVIVE.text, 0, str(self._lease_ms), "")
            for one in _SCRIPTS:
                pipe.script_load(one.text)
            await pipe.execute()
            return await self._call(call)

    async def _call(self, call: Call) -> Any:  # noqa: ANN401 - Lua's answer
        return await cast("Any", self._redis.evalsha(call.script.digest, *call.words))


def _lease(one: Claimed) -> tuple[str, str, str]:
    """The job, its lease as the claim stored it, and its queue."""
    attempts = one.attempts
    return one.id, f"{attempts.faults}|{attempts.outages}|{attempts.lapses}|{one.queue}|{one.token}", one.queue


def _words(settlement: Settlement) -> tuple[str, bytes | str, int, str]:
    match settlement:
        case Done(letter=letter):
            return "done", letter, 0, ""
        case Again(attempts=attempts, defer_s=defer_s, queue=queue):
            counts = f"{attempts.faults}|{attempts.outages}|{attempts.lapses}||{attempts.failed_by}"
            return "again", counts, round(defer_s * 1000), queue


async def note_deaths(redis: Redis, workers: Sequence[str]) -> None:
    """Record workers that were lost, which `is_poison` weighs lapses against; redis.RedisError."""
    await run_one(redis, NOTE_DEATHS((), *workers))
