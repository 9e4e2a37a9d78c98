"""A queue with leases in plain words, and the scripts on a real Redis behind the same door.

Time passes on Redis by moving every score back, which is what passing time looks like from there. Ties: by id.
"""

from typing import Protocol

from redis.asyncio import Redis

from storage.queue.claims import Claims
from storage.queue.jobs import FLAGS, QUEUES, Job, Queue
from storage.queue.lease import Again, Attempts, Claimed, Settlement

LEASE_S = 60.0


class Ledger(Protocol):
    """What is tested: a queue with leases, and time that passes."""

    async def enqueue(self, job: Job) -> None:
        """Queue a job that is not."""

    async def claim(self, token: str, free: int) -> list[Claimed]:
        """Lease what is ready."""

    async def extend(self, claimed: list[Claimed]) -> list[Claimed]:
        """Lease on; what was lost."""

    async def settle(self, settlements: list[Settlement]) -> list[bool]:
        """How jobs ended; whether that counts."""

    async def release(self, token: str) -> int:
        """Undo a claim."""

    async def passing(self, seconds: float) -> None:
        """Let time pass."""

    async def dead(self) -> set[str]:
        """What was given up."""


class Model:
    """The rules in plain words."""

    def __init__(self) -> None:
        self.now = 0.0
        self.queued: dict[str, tuple[float, str]] = {}
        self.holder: dict[str, str] = {}
        self.attempts: dict[str, Attempts] = {}
        self.letters: set[str] = set()

    async def enqueue(self, job: Job) -> None:
        """Unless it is there."""
        self.queued.setdefault(job.id, (self.now, job.queue))

    async def claim(self, token: str, free: int) -> list[Claimed]:
        """The most urgent queue first, in each what is due the longest; flags need no slot."""
        due = [one for one, (at, _) in self.queued.items() if at <= self.now]
        due.sort(key=lambda one: (QUEUES.index(self.queued[one][1]), self.queued[one][0], one.encode()))
        flags = [one for one in due if self.queued[one][1] == FLAGS]
        found = []
        for one in flags[:free] + [one for one in due if one not in flags][:free]:
            attempts = self.attempts.get(one, Attempts())
            if one in self.holder:
                attempts = Attempts(attempts.faults, attempts.outages, attempts.lapses + 1)
            self.attempts[one] = attempts
            self.holder[one] = token
            queue = self.queued[one][1]
            self.queued[one] = (self.now + LEASE_S, queue)
            found.append(Claimed(one, b"", queue, token, attempts))
        return found

    async def extend(self, claimed: list[Claimed]) -> list[Claimed]:
        """Of those that are held."""
        for one in claimed:
            if self.holder.get(one.id) == one.token:
                self.queued[one.id] = (self.now + LEASE_S, one.queue)
        return [one for one in claimed if self.holder.get(one.id) != one.token]

    async def settle(self, settlements: list[Settlement]) -> list[bool]:
        """For those that are held."""
        return [self._settled(one) for one in settlements]

    def _settled(self, one: Settlement) -> bool:
        job_id = one.claimed.id
        if self.holder.get(job_id) != one.claimed.token:
            return False
        del self.holder[job_id]
        if isinstance(one, Again):
            self.attempts[job_id] = one.attempts
            self.queued[job_id] = (self.now + one.defer_s, one.claimed.queue)
        else:
            del self.queued[job_id], self.attempts[job_id]
            if one.letter:
                self.letters.add(job_id)
        return True

    async def release(self, token: str) -> int:
        """As if it had not been claimed."""
        mine = [one for one, holder in self.holder.items() if holder == token]
        for one in mine:
            del self.holder[one]
            self.queued[one] = (self.now, self.queued[one][1])
        return len(mine)

    async def passing(self, seconds: float) -> None:
        """The clock goes on."""
        self.now += seconds

    async def dead(self) -> set[str]:
        """Ids of kept jobs."""
        return self.letters


class Real:
    """The scripts."""

    def __init__(self, redis: Redis) -> None:
        self.redis = redis
        self.claims = Claims(redis, LEASE_S)

    async def enqueue(self, job: Job) -> None:
        """As nodes do."""
        await Queue(self.redis).enqueue([job])

    async def claim(self, token: str, free: int) -> list[Claimed]:
        """As workers do."""
        return await self.claims.claim(token, free)

    async def extend(self, claimed: list[Claimed]) -> list[Claimed]:
        """As workers do."""
        return await self.claims.extend(claimed)

    async def settle(self, settlements: list[Settlement]) -> list[bool]:
        """As workers do."""
        return await self.claims.settle(settlements)

    async def release(self, token: str) -> int:
        """As workers do."""
        return await self.claims.release(token)

    async def passing(self, seconds: float) -> None:
        """Every score moves back."""
        for queue in QUEUES:
            scores = {
                one: score - seconds * 1000 for one, score in await self.redis.zrange(queue, 0, -1, withscores=True)
            }
            if scores:
                await self.redis.zadd(queue, scores)

    async def dead(self) -> set[str]:
        """Ids of kept jobs."""
        return {one.decode() for one in await self.redis.hkeys("snapsurge:dead")}
