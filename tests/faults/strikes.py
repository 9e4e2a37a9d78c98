"""The faults: each coroutine breaks a part of the rig, waits, heals it, and returns the evidence that it happened.

They raise `evidence.Void` when the fault did not happen. They know nothing of uploads.
"""

import asyncio
import contextlib
import errno
import os
import random
import resource
import shutil
import signal
from collections import Counter
from collections.abc import Callable, Sequence

import aiohttp
import psutil
from redis.exceptions import OutOfMemoryError, RedisError

from deploy import stack
from tests.faults.evidence import Void, clock_of, frozen, proven, signalled, silent
from tests.faults.proxy import Toxic
from tests.faults.rig import Rig
from tests.faults.toxics import Copied


def some(rig: Rig, tier: str, rng: random.Random) -> int:
    """The id of a random process of a tier."""
    pids = rig.pids(tier)
    if not pids:
        raise Void(f"there is no {tier}")
    return rng.choice(pids)


# Processes.


async def kill(tier: str, rig: Rig, rng: random.Random) -> str:
    """SIGKILL one process of the tier, and sometimes the process that replaces it."""
    said = [await signalled(some(rig, tier, rng), signal.SIGKILL)]
    if rng.random() < 0.3:
        await asyncio.sleep(rng.uniform(0.3, 1.2))
        said.append(await signalled(some(rig, tier, rng), signal.SIGKILL))
    return ", ".join(said)


async def stop(tier: str, rig: Rig, rng: random.Random) -> str:
    """SIGSTOP, SIGCONT."""
    return await frozen(some(rig, tier, rng), rng.uniform(0.5, 2.5))


async def stop_past_lease(rig: Rig, rng: random.Random) -> str:
    """SIGSTOP a worker until the leases of its jobs have expired and another worker has claimed them."""
    return await frozen(some(rig, "worker", rng), 15.0)


async def terms(rig: Rig, rng: random.Random) -> str:
    """SIGTERM one process of each tier repeatedly, so that each drains and restarts."""
    said = []
    for tier in ("balancer", "node", "worker", "node", "worker", "balancer"):
        pid = some(rig, tier, rng)
        try:
            os.kill(pid, signal.SIGTERM)
        except ProcessLookupError:
            continue
        said.append((tier, pid))
        await asyncio.sleep(rng.uniform(0.1, 0.4))
    ended = 0
    for _, pid in said:
        async with asyncio.timeout(60):
            while pid in [*rig.pids("balancer"), *rig.pids("node"), *rig.pids("worker")] and psutil.pid_exists(pid):
                await asyncio.sleep(0.05)
        ended += 1
    return proven(ended >= 3, f"{ended} processes drained by SIGTERM: {said}")


async def descriptors(tier: str, rig: Rig, rng: random.Random) -> str:
    """Set RLIMIT_NOFILE below the number of open files: no new connection, no new file."""
    record = rig.record()
    victims: Sequence[stack.Node | stack.Balancer] = record.nodes if tier == "node" else record.balancers
    victim = rng.choice(victims)
    limits = resource.prlimit(victim.pid, resource.RLIMIT_NOFILE)
    try:
        resource.prlimit(victim.pid, resource.RLIMIT_NOFILE, (psutil.Process(victim.pid).num_fds() // 2, limits[1]))
        refused = 0
        for _ in range(rng.randint(2, 5)):
            refused += await silent(rig.session, victim.url + "/livez")
            await asyncio.sleep(0.2)
    except (psutil.NoSuchProcess, ProcessLookupError):
        raise Void(f"pid {victim.pid} was gone") from None
    finally:
        if psutil.pid_exists(victim.pid):
            resource.prlimit(victim.pid, resource.RLIMIT_NOFILE, limits)
    return proven(refused > 0, f"pid {victim.pid} could not serve {refused} new connections")


async def worker_descriptors(rig: Rig, rng: random.Random) -> str:
    """The same for a worker, which accepts no connections: it had more files open than the limit, or it ended."""
    pid = some(rig, "worker", rng)
    try:
        limits, fewer = resource.prlimit(pid, resource.RLIMIT_NOFILE), psutil.Process(pid).num_fds() // 2
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (fewer, limits[1]))
    except (psutil.NoSuchProcess, ProcessLookupError):
        raise Void(f"worker {pid} was gone") from None
    await asyncio.sleep(rng.uniform(0.8, 2.0))
    try:
        over = resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)[0] == fewer <= psutil.Process(pid).num_fds()
    except (psutil.NoSuchProcess, ProcessLookupError):
        return f"worker {pid} ended with {fewer} descriptors allowed"
    return proven(over, f"worker {pid} could open nothing: {fewer} descriptors allowed")


async def clock(offset_s: float, rig: Rig, rng: random.Random) -> str:
    """Step one node's clock by `offset_s`, and later back."""
    node = rng.choice(rig.record().nodes)
    rig.set_clock(node.id, offset_s)
    try:
        await asyncio.sleep(rng.uniform(1.0, 2.5))
        try:
            seen = await clock_of(rig.session, f"{node.url}/livez")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Void(f"node {node.id} does not say its time: {error!r}") from None
        return proven(abs(seen - offset_s) < 5, f"node {node.id} was {seen:+.0f} s off")
    finally:
        rig.set_clock(node.id, 0.0)


# Redis.


async def redis_kill(rig: Rig, rng: random.Random, *, empty: bool = False) -> str:
    """SIGKILL Redis and start it again, with its data on disk or `empty`."""
    said = rig.redis_server.kill()
    await asyncio.sleep(rng.uniform(0.2, 1.0))
    if empty:
        shutil.rmtree(rig.redis_data)
        rig.redis_data.mkdir()
    await rig.redis_server.start()
    return said + (", restarted empty" if empty else "")


async def redis_flush(rig: Rig, rng: random.Random) -> str:
    """Run FLUSHALL on Redis, more than once."""
    gone = 0
    for _ in range(rng.randint(1, 3)):
        gone += await rig.redis.dbsize()
        await rig.redis.flushall()
        await asyncio.sleep(rng.uniform(0.1, 0.8))
    return proven(gone > 0, f"{gone} keys flushed")


async def redis_full(rig: Rig, rng: random.Random) -> str:
    """Let Redis run out of memory: it answers every write with OOM."""
    await rig.redis.config_set("maxmemory", 1)
    try:
        await asyncio.sleep(rng.uniform(0.5, 2.0))
        try:
            await rig.redis.set("faults", 1)
        except OutOfMemoryError as error:
            return f"redis said: {error}"
        raise Void("redis still took a write")
    finally:
        await rig.redis.config_set("maxmemory", 0)


async def redis_hung(rig: Rig, rng: random.Random) -> str:
    """SIGSTOP Redis; the evidence is a PING without an answer."""
    freeze = asyncio.create_task(  # noqa: TID251 - awaited below
        frozen(rig.redis_server.pid, rng.uniform(1.2, 2.5))
    )
    await asyncio.sleep(0.05)
    try:
        await rig.redis.ping()
        answered = True
    except RedisError:
        answered = False
    return await freeze + proven(not answered, ", no PONG within a second")


# Proxies.


async def poisoned(
    make: Callable[[random.Random], Toxic], where: str, rig: Rig, rng: random.Random, *, for_s: float = 2.5
) -> str:
    """Apply a toxic in the proxies of one place for `for_s`; the evidence is how often it hit."""
    toxic = make(rng)
    with contextlib.ExitStack() as toxics:
        for proxy in rig.proxies(where):
            toxics.enter_context(proxy.toxic(toxic))
        await asyncio.sleep(rng.uniform(for_s / 3, for_s))
    return proven(toxic.hits > 0, f"{type(toxic).__name__} hit {toxic.hits} times")


async def repeated(request: bytes, rig: Rig, rng: random.Random) -> str:
    """Send requests to the store a second time, seconds after they were answered, in random order."""
    proxy = rig.store_proxy
    assert proxy
    with proxy.toxic(toxic := Copied(request)):
        await asyncio.sleep(rng.uniform(1.5, 3.0))
    await asyncio.sleep(rng.uniform(0.5, 3.0))
    rng.shuffle(toxic.requests)
    statuses = Counter(status.decode() for status in await toxic.send_again(proxy.target))
    return proven(toxic.hits > 0, f"{toxic.hits} requests came twice, answered {dict(statuses)} the second time")


async def cut_all(where: str, rig: Rig, rng: random.Random) -> str:
    """Reset every connection of the proxies, a few times."""
    cut = 0
    for _ in range(rng.randint(2, 6)):
        cut += sum(proxy.reset_all() for proxy in rig.proxies(where))
        await asyncio.sleep(rng.uniform(0.05, 0.5))
    return proven(cut > 0, f"{cut} connections reset")


# The store.


async def minio_kill(rig: Rig, rng: random.Random) -> str:
    """SIGKILL MinIO and start it again on the same disk."""
    assert rig.minio
    said = rig.minio.kill()
    await asyncio.sleep(rng.uniform(0.2, 1.0))
    await rig.minio.start()
    return said


async def minio_hung(rig: Rig, rng: random.Random) -> str:
    """SIGSTOP, SIGCONT."""
    assert rig.minio
    return await frozen(rig.minio.pid, rng.uniform(0.8, 2.5))


async def disk_full(rig: Rig, rng: random.Random) -> str:
    """Fill the small disk with a file; without a small disk, limit the file size of a node's process."""
    if rig.disk is None:
        return await _files_may_not_grow(rig, rng)
    filler = rig.disk / "filler"
    try:
        with filler.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(1 << 20))
            except OSError as error:
                said = errno.errorcode[error.errno or 0]
        await asyncio.sleep(rng.uniform(0.8, 2.0))
        free = shutil.disk_usage(rig.disk).free
        return proven(said == "ENOSPC" and free < 65536, f"{said}, {free} bytes left")
    finally:
        filler.unlink(missing_ok=True)


async def _files_may_not_grow(rig: Rig, rng: random.Random) -> str:
    pids, limits = rig.pids("node"), {}
    try:
        for pid in pids:
            limits[pid] = resource.prlimit(pid, resource.RLIMIT_FSIZE)
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (4096, limits[pid][1]))
        await asyncio.sleep(rng.uniform(0.8, 2.0))
        kept = [resource.prlimit(pid, resource.RLIMIT_FSIZE)[0] == 4096 for pid in pids]
        return proven(all(kept), f"no file of {len(pids)} nodes could grow beyond 4 KiB")
    except ProcessLookupError:
        raise Void("a node was gone") from None
    finally:
        for pid, old in limits.items():
            if psutil.pid_exists(pid):
                resource.prlimit(pid, resource.RLIMIT_FSIZE, old)
