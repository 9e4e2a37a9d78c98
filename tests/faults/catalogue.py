"""Every fault of the suite by name: its target, its stores and its implementation (`strikes`, `proxy`).

Two faults on the same target never run at once: the end of one would heal the other.
"""

import random
from collections.abc import Awaitable, Callable
from functools import partial

import msgspec

from tests.faults import strikes
from tests.faults.proxy import Toxic
from tests.faults.rig import Kind, Rig
from tests.faults.toxics import Blackhole, Busy, CutAfter, Late, Lost, Slow, Swallowed

Run = Callable[[Rig, random.Random], Awaitable[str]]

POST = rb"POST /v1/moments/[^/ ]+/posts "
PUT_INTAKE = rb"PUT /[^ ]*/intake/"
PUT_MEDIA = rb"PUT /[^ ]*/media/"
# The store requests that create or delete a post, or change its pictures.
CHANGE = rb"(PUT|DELETE) /[^ ]*/(intake|media)/"
STEP_S = 300.0
BOTH: tuple[Kind, ...] = ("file", "minio")


class Fault(msgspec.Struct, frozen=True):
    """One fault; `alone`: it takes too long for a random round."""

    name: str
    target: str
    run: Run
    stores: tuple[Kind, ...] = BOTH
    alone: bool = False


def _toxic(
    where: str,
    name: str,
    make: Callable[[random.Random], Toxic],
    stores: tuple[Kind, ...] = BOTH,
    for_s: float = 2.5,
) -> Fault:
    return Fault(name, where, partial(strikes.poisoned, make, where, for_s=for_s), stores)


S3: tuple[Kind, ...] = ("minio",)
TIERS = ("balancer", "node", "worker", "autoscaler")
FAULTS = (
    *(Fault(f"{tier} killed", tier, partial(strikes.kill, tier)) for tier in TIERS),
    *(Fault(f"{tier} stopped", tier, partial(strikes.stop, tier)) for tier in TIERS),
    Fault("worker stopped past its lease", "worker", strikes.stop_past_lease, alone=True),
    Fault("SIGTERM storm", "worker", strikes.terms),
    Fault("balancer out of descriptors", "balancer", partial(strikes.descriptors, "balancer")),
    Fault("node out of descriptors", "node", partial(strikes.descriptors, "node")),
    Fault("worker out of descriptors", "worker", strikes.worker_descriptors),
    Fault("node's clock 5 min ahead", "node", partial(strikes.clock, STEP_S)),
    Fault("node's clock 5 min behind", "node", partial(strikes.clock, -STEP_S)),
    Fault("redis killed", "redis", strikes.redis_kill),
    Fault("redis restarted empty", "redis", partial(strikes.redis_kill, empty=True)),
    Fault("redis flushed", "redis", strikes.redis_flush),
    Fault("redis out of memory", "redis", strikes.redis_full),
    Fault("redis hung", "redis", strikes.redis_hung),
    _toxic("redis", "redis half-open", lambda _: Blackhole()),
    _toxic("redis", "redis slow", lambda rng: Slow(rng.uniform(0.02, 0.3))),
    Fault("redis connections reset", "redis", partial(strikes.cut_all, "redis")),
    Fault("minio killed", "store", strikes.minio_kill, S3),
    Fault("minio hung", "store", strikes.minio_hung, S3),
    _toxic("store", "minio says SlowDown", lambda _: Busy(), S3),
    _toxic("store", "minio slow", lambda rng: Slow(rng.uniform(0.05, 0.4), 400_000), S3),
    _toxic("store", "minio half-open", lambda _: Blackhole("down"), S3),
    _toxic("store", "minio resets after its commit", lambda _: Swallowed(PUT_INTAKE), S3),
    _toxic("store", "minio resets after a media PUT", lambda _: Swallowed(PUT_MEDIA), S3),
    _toxic("store", "minio connections cut in a PUT", lambda rng: CutAfter("up", rng.randint(500, 30_000)), S3),
    _toxic("store", "minio requests lost", lambda rng: Lost(CHANGE, rng.randint(1, 4)), S3, 6.0),
    _toxic("store", "minio requests late", lambda rng: Late(CHANGE, rng.uniform(0.5, 5.0)), S3, 4.0),
    Fault("minio requests repeated", "store", partial(strikes.repeated, CHANGE), S3),
    Fault("minio connections reset", "store", partial(strikes.cut_all, "store"), S3),
    Fault("disk full", "store", strikes.disk_full, ("file",)),
    _toxic("door", "phones cut in their body", lambda rng: CutAfter("up", rng.randint(100, 12_000))),
    _toxic("door", "answers to phones lost", lambda _: Swallowed(POST)),
    _toxic("door", "phones half-open", lambda _: Blackhole("down")),
    _toxic("door", "phones slow", lambda rng: Slow(rng.uniform(0.05, 0.3), 200_000)),
    Fault("phones reset", "door", partial(strikes.cut_all, "door")),
)
