"""The autoscaler on a real queue, with processes that are none and a clock that is set."""

import logging
import socket
from typing import Any

import pytest
from redis.asyncio import Redis

from processors.config import load
from processors.election import Election
from processors.metrics import ScalerMetrics
from processors.scaling.autoscale import Autoscaler, limits_of
from processors.scaling.ladder import Ladder
from processors.scaling.pool import Pool
from processors.scaling.presence import beat
from processors.scaling.pulse import Pulse, worker_name
from processors.scaling.sizing import Limits
from storage.decision import latest
from storage.keys import DEATHS_KEY
from storage.queue.jobs import Job

LIMITS = Limits(workers_min=1, workers_max=6, workers_warm=4, drain_s=60, lead_s=60, hold_s=30, down_s=300)
FIRES_S = 1_767_225_600.0
QUIET_S = FIRES_S - 3600


class Fake:
    """A process that does what it is told."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None

    def terminate(self) -> None:
        """SIGTERM."""
        self.returncode = 0

    def kill(self) -> None:
        """SIGKILL."""
        self.returncode = -9

    async def wait(self) -> int:
        """Its exit code."""
        return self.returncode or 0


class Scaled:
    """An autoscaler, its pool and its clock."""

    def __init__(self, world: Any, redis: Redis, now_s: float, *, with_pool: bool = True, ladder: Ladder = ()) -> None:
        self.now_s = now_s
        self.processes: list[Fake] = []
        self.pool = Pool(self._start)
        self.metrics = ScalerMetrics()
        self.election = Election(redis, f"scaler {id(self)}", term_s=60)
        clock = lambda: self.now_s  # noqa: E731 - one clock, read in two places
        self.autoscaler = Autoscaler(
            LIMITS,
            redis,
            world.moments,
            self.pool if with_pool else None,
            self.metrics,
            self.election,
            clock=clock,
            monotonic=clock,
            ladder=ladder,
        )

    async def _start(self, _slot: int) -> Fake:
        self.processes.append(Fake(100 + len(self.processes)))
        return self.processes[-1]

    async def tick(self, seconds: float = 1.0) -> int:
        """One decision, and how many workers there are after it."""
        self.now_s += seconds
        await self.autoscaler.tick()
        return self.pool.size


def value(scaled: Scaled, name: str) -> float | None:
    """What a metric shows."""
    return scaled.metrics.registry.get_sample_value(name)


async def enqueue(world: Any, count: int) -> None:
    """So many renders that nobody does."""
    await world.queue.enqueue([Job("render_pair", world.moment_id, f"post-{number}") for number in range(count)])


async def test_it_starts_with_the_minimum_and_grows_with_the_queue(world: Any, redis: Redis) -> None:
    """A backlog that cannot drain in time calls the maximum at once; the metrics show it."""
    scaled = Scaled(world, redis, QUIET_S)
    assert await scaled.tick() == 1

    await enqueue(world, 10_000)

    assert await scaled.tick() == 6
    assert value(scaled, "snapsurge_queue_ready") == 10_000
    assert value(scaled, "snapsurge_workers") == value(scaled, "snapsurge_workers_desired") == 6


async def test_it_falls_to_the_minimum_once_nothing_needed_more_for_a_while(world: Any, redis: Redis) -> None:
    """An empty queue alone sends nobody home; five quiet minutes do."""
    scaled = Scaled(world, redis, QUIET_S)
    await enqueue(world, 10_000)
    assert await scaled.tick() == 6
    await redis.delete("arq:queue")

    sizes = [await scaled.tick(10) for _ in range(40)]

    assert sizes[:25] == [6] * 25
    assert sizes[-1] == 1


async def test_it_is_warm_before_a_scheduled_moment(world: Any, redis: Redis) -> None:
    """A minute before the moment fires the workers are up, with nothing in the queue."""
    scaled = Scaled(world, redis, FIRES_S - 65)
    assert await scaled.tick(0) == 1

    assert await scaled.tick(10) == 4
    assert await scaled.tick(60 + 60) == 4


async def test_a_moment_made_later_is_seen(world: Any, redis: Redis) -> None:
    """The schedule is read again every few seconds."""
    scaled = Scaled(world, redis, QUIET_S)
    assert await scaled.tick() == 1
    await world.moments.create("us-east", int((scaled.now_s + 30) * 1000), 120)

    assert await scaled.tick(3) == 4


async def test_without_redis_the_pool_stays_as_it_is(
    world: Any, absent_redis: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    """A stale metric sends nobody home, and is logged once, not every second."""
    scaled = Scaled(world, absent_redis, QUIET_S)
    scaled.election.elected = True
    await scaled.pool.tend(3, 0.0)

    assert [await scaled.tick() for _ in range(5)] == [3] * 5
    assert caplog.text.count("Redis is unavailable, the number of workers stays the same") == 1


async def test_a_worker_that_died_is_replaced(world: Any, redis: Redis) -> None:
    """The next tick has as many as before."""
    scaled = Scaled(world, redis, QUIET_S)
    await scaled.tick()
    scaled.processes[0].kill()

    assert await scaled.tick(30) == 1
    assert scaled.pool.pids == [101]


async def test_the_decision_is_told(world: Any, redis: Redis) -> None:
    """What is desired, what there is, and the measures, for whoever asks a node or another autoscaler."""
    scaled = Scaled(world, redis, QUIET_S)
    await enqueue(world, 10_000)
    await scaled.tick()

    told = await latest(redis)

    assert told is not None
    assert (told.desired, told.workers, told.ready) == (6, 6, 10_000)


async def test_without_a_pool_it_only_decides(world: Any, redis: Redis) -> None:
    """The workers are those that are heard of, wherever they run; as a restarted scaler it stops none of them."""
    scaled = Scaled(world, redis, QUIET_S, with_pool=False)
    for pid in range(3):
        await beat(redis, worker_name("a pod", pid, "x"), Pulse(0, 0.0), ttl_s=60)

    assert await scaled.tick() == 0
    told = await latest(redis)
    assert told is not None
    assert (told.desired, told.workers) == (3, 3)


async def test_a_worker_that_was_lost_is_noted(world: Any, redis: Redis) -> None:
    """Whether or not it ran a job: a storm of kills makes no job poison."""
    scaled = Scaled(world, redis, QUIET_S, with_pool=False)
    for worker in ("killed", "alive"):
        await beat(redis, worker_name(worker, 1, "x"), Pulse(0, 0.0), ttl_s=60)
    await scaled.tick()
    assert not await redis.exists(DEATHS_KEY)
    await redis.delete("snapsurge:worker:killed:1:x")
    await scaled.tick()

    assert await redis.zrange(DEATHS_KEY, 0, -1) == [b"killed:1:x"]


async def test_what_cannot_be_read_ends_nothing(world: Any, redis: Redis, caplog: pytest.LogCaptureFixture) -> None:
    """Unreadable names and pulses of workers are ignored and logged once; the readable ones count."""
    scaled = Scaled(world, redis, QUIET_S)
    await enqueue(world, 10_000)
    await scaled.tick()
    for pid in scaled.pool.pids:
        await beat(redis, worker_name(socket.gethostname(), pid, "x"), Pulse(0, 0.0, int(pid == 105)), ttl_s=600)
    for name in (b"nonsense", b"\xff", b"pod:1:x"):
        await redis.sadd("snapsurge:workers", name)
        await redis.set(b"snapsurge:worker:" + name, b"\xc1")

    assert [await scaled.tick() for _ in range(3)] == [6] * 3
    assert caplog.text.count("malformed status reports") == 1
    assert "ignoring 3 malformed status reports of workers in Redis, such as b'nonsense'" in caplog.text
    await redis.set("snapsurge:workers", "not a set at all")
    assert await scaled.tick() == 6
    await redis.delete("snapsurge:workers", "arq:queue")
    for pid in scaled.pool.pids:
        await beat(redis, worker_name(socket.gethostname(), pid, "x"), Pulse(0, 0.0, int(pid == 105)), ttl_s=600)
    assert [await scaled.tick(10) for _ in range(40)][-1] == 1
    assert scaled.pool.pids == [105]  # the only busy one: the idle ones were stopped first


async def test_the_second_of_two_stands_by_until_the_first_is_gone(world: Any, redis: Redis) -> None:
    """It has no workers while another decides, and takes over when that one resigns; the first sends its own home."""
    first, second = Scaled(world, redis, QUIET_S), Scaled(world, redis, QUIET_S)
    await enqueue(world, 10_000)
    assert [await first.tick(), await second.tick()] == [6, 0]
    assert [value(one, "snapsurge_autoscaler_elected") for one in (first, second)] == [1, 0]

    await first.election.resign()

    assert [await second.tick(), await first.tick()] == [6, 0]


async def test_the_idle_are_sent_home_first(world: Any, redis: Redis) -> None:
    """Who says that it runs a job stays, whoever is newer."""
    scaled = Scaled(world, redis, QUIET_S)
    await enqueue(world, 10_000)
    await scaled.tick()
    await redis.delete("arq:queue")
    for pid in scaled.pool.pids:
        name = worker_name(socket.gethostname(), pid, "x")
        await beat(redis, name, Pulse(0, 0.0, int(pid == 105)), ttl_s=60)

    await scaled.tick(301)

    assert scaled.pool.pids == [105]


async def test_each_change_of_size_is_logged(world: Any, redis: Redis, caplog: pytest.LogCaptureFixture) -> None:
    """Only changes are, with what was seen."""
    caplog.set_level(logging.INFO, "snapsurge.processors.autoscale")
    scaled = Scaled(world, redis, QUIET_S)
    for _ in range(3):
        await scaled.tick()
    await enqueue(world, 10_000)
    await scaled.tick()

    changes = [record.message for record in caplog.records if "workers wanted" in record.message]
    assert len(changes) == 2
    assert changes[1].startswith("6 workers wanted, 1 running (10000 ready")


def test_the_settings_reach_the_decision() -> None:
    """One worker per core around a moment, unless told otherwise."""
    prefix = "SNAPSURGE_PROCESSORS_"
    limits = limits_of(load({f"{prefix}WORKERS_MAX": "8", f"{prefix}WORKERS_WARM": "5", f"{prefix}SCALE_DOWN_S": "7"}))

    assert (limits.workers_min, limits.workers_max, limits.workers_warm, limits.down_s) == (1, 8, 5, 7.0)
