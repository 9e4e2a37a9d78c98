"""The faults of a Redis with Sentinels, and the rig that they need: the stack on a real group instead of one Redis.

Each fault waits for the failover that it causes, heals the group, and returns the evidence with the seconds until the
Sentinels named the new primary.
"""

import asyncio
import contextlib
import random
import signal
from collections.abc import Awaitable, Callable
from typing import cast

from storage.config import Config
from storage.opening import redis_client
from tests.failover import Group, running
from tests.faults.catalogue import FAULTS, Fault
from tests.faults.evidence import proven
from tests.faults.rig import Rig

# What happens at the same time as a failover in a random round; the group is the only Redis.
BESIDE = tuple(fault for fault in FAULTS if fault.target in {"balancer", "node", "worker", "door", "store"})
# Shorter than the time after which the Sentinels find a primary down.
BEHIND_S = 1.2


class FailoverRig(Rig):
    """The stack on a group of redis-server with three Sentinels, which its programs reach directly."""

    group: Group

    async def _start_redis(self, opened: contextlib.AsyncExitStack) -> None:
        self.group = await asyncio.to_thread(opened.enter_context, running(self.folder / "redis"))
        self.redis_url = self.group.url
        self.redis = redis_client(Config(redis_url=self.group.url))
        opened.push_async_callback(self.redis.aclose)


Strike = Callable[[Group, random.Random], Awaitable[str]]


def _on_group(strike: Strike) -> Callable[[Rig, random.Random], Awaitable[str]]:
    async def run(rig: Rig, rng: random.Random) -> str:
        group = cast("FailoverRig", rig).group
        try:
            return await strike(group, rng)
        finally:
            await asyncio.to_thread(group.heal)

    return run


async def _moved(group: Group, rng: random.Random, strike: Callable[[str], object]) -> str:
    old = await asyncio.to_thread(group.primary)
    strike(old.name)
    took_s = await asyncio.to_thread(group.until_moved, old)
    await asyncio.sleep(rng.uniform(0, 1.0))
    new = await asyncio.to_thread(group.primary)
    return proven(new is not old, f"{new.name} is the primary instead of {old.name} after {took_s:.1f} s")


async def killed(group: Group, rng: random.Random) -> str:
    """SIGKILL the primary; it is started again, on what it has on disk, after the failover."""
    return await _moved(group, rng, group.kill)


async def killed_ahead(group: Group, rng: random.Random) -> str:
    """The same, after its replica was cut off from what came in the last second: that is lost."""
    primary, replica = await asyncio.to_thread(group.primary), await asyncio.to_thread(group.replica)
    await asyncio.to_thread(group.cut_off, primary.name)
    await asyncio.sleep(BEHIND_S)
    lost = await asyncio.to_thread(group.backlog, primary) - await asyncio.to_thread(group.backlog, replica)
    return await _moved(group, rng, group.kill) + proven(lost > 0, f", {lost} bytes of changes lost")


async def hung(group: Group, rng: random.Random) -> str:
    """SIGSTOP the primary until it was replaced; it comes back as a primary, and is demoted seconds later."""
    old = await asyncio.to_thread(group.primary)
    try:
        return await _moved(group, rng, lambda name: group.signal(name, signal.SIGSTOP))
    finally:
        group.signal(old.name, signal.SIGCONT)


async def asked(group: Group, rng: random.Random) -> str:
    """A planned failover."""
    watcher = rng.choice(group.watchers)
    return await _moved(group, rng, lambda _: group.ask(watcher, "SENTINEL", "FAILOVER", "snapsurge"))


async def cut_off(group: Group, rng: random.Random) -> str:
    """The primary loses its replica and its Sentinels, and goes on serving clients: two primaries, for some seconds."""
    old = await asyncio.to_thread(group.primary)
    try:
        said = await _moved(group, rng, group.cut_off)
        role = await asyncio.to_thread(group.role, old)
        return said + proven(role == "master", f", while {old.name} goes on as one")
    finally:
        await asyncio.to_thread(group.join, old.name)


async def demoted(group: Group, rng: random.Random) -> str:
    """The primary becomes a replica by hand and keeps its sessions; the Sentinels still name it."""
    primary, replica = await asyncio.to_thread(group.primary), await asyncio.to_thread(group.replica)
    await asyncio.to_thread(group.ask, replica, "REPLICAOF", "NO", "ONE")
    await asyncio.to_thread(group.ask, primary, "REPLICAOF", replica.host, str(replica.port))
    try:
        await asyncio.sleep(rng.uniform(2.0, 4.0))
        named, role = await asyncio.to_thread(group.primary), await asyncio.to_thread(group.role, primary)
        return proven(named is primary and role == "slave", f"{primary.name} was named, and was a replica")
    finally:
        await asyncio.to_thread(group.ask, primary, "REPLICAOF", "NO", "ONE")
        await asyncio.to_thread(group.ask, replica, "REPLICAOF", primary.host, str(primary.port))


async def replica_killed(group: Group, rng: random.Random) -> str:
    """SIGKILL the replica: nobody should notice."""
    said = group.kill((await asyncio.to_thread(group.replica)).name)
    await asyncio.sleep(rng.uniform(1.0, 3.0))
    return said


async def both_killed(group: Group, rng: random.Random) -> str:
    """SIGKILL primary and replica: no Redis at all until both are started again."""
    said = ", ".join(group.kill(one.name) for one in group.data)
    await asyncio.sleep(rng.uniform(1.0, 3.0))
    return said


async def killed_with_a_sentinel_hung(group: Group, rng: random.Random) -> str:
    """Kill the primary while one Sentinel does not answer: two are enough, for the failover and for every client."""
    watcher = rng.choice(group.watchers)
    group.signal(watcher.name, signal.SIGSTOP)
    try:
        return f"{watcher.name} hung, " + await killed(group, rng)
    finally:
        group.signal(watcher.name, signal.SIGCONT)


STRIKES: dict[str, Strike] = {
    "primary killed": killed,
    "primary killed with what its replica lacked": killed_ahead,
    "primary hung": hung,
    "failover asked for": asked,
    "primary cut off, two primaries": cut_off,
    "primary demoted by hand": demoted,
    "replica killed": replica_killed,
    "primary and replica killed": both_killed,
    "primary killed, a Sentinel hung": killed_with_a_sentinel_hung,
}
FAILOVERS = tuple(Fault(name, "redis", _on_group(strike)) for name, strike in STRIKES.items())
