"""Judges every Redis: its role, whether it can save, what it does when its memory is full, and how full it is. Pure."""

from collections.abc import Callable, Iterator
from typing import Final

from .facts import Facts, Redis
from .verdict import Check, judged, listed, size

EVICTS_NOTHING: Final = "noeviction"
MEMORY_PART_MAX: Final = 0.5  # Of Redis' memory before a moment, so that a burst has as much again.


def judge(facts: Facts) -> Iterator[Check]:
    """All checks of Redis."""
    yield redis_role(facts)
    yield redis_persistence(facts)
    yield redis_eviction(facts)
    yield redis_memory(facts)


def redis_role(facts: Facts) -> Check:
    """Each Redis answers as a primary; one of a group has a replica to fail over to."""

    def trouble(one: Redis) -> str:
        if one.error:
            return one.error
        if one.role != "master":
            return f"it is a {one.role}"
        return "no replica follows it, so it cannot fail over" if one.group and not one.replicas else ""

    return _of_each_redis(
        "redis-role",
        facts,
        trouble,
        told=lambda one: f"{one.name} is primary" + (f" with {one.replicas} replicas" if one.replicas else ""),
        wanted="every Redis is reachable and a primary; one with Sentinels has a replica",
        remedy="start it, or name the primary in SNAPSURGE_REDIS_URL and SNAPSURGE_SHARD_URLS; start the replica",
        counts_errors=True,
    )


def redis_persistence(facts: Facts) -> Check:
    """No Redis failed to save its data, because it refuses writes then."""
    return _of_each_redis(
        "redis-persistence",
        facts,
        lambda one: f"{', '.join(one.failing)} failed" if one.failing else "",
        told=lambda one: f"{one.name} {'appends to a file' if one.appends else 'keeps nothing on disk'}",
        wanted="the last save of each Redis succeeded: one that cannot save refuses writes",
        remedy="free its disk and look into its log, then `BGSAVE` or `BGREWRITEAOF`",
    )


def redis_eviction(facts: Facts) -> Check:
    """No Redis drops keys when its memory is full."""
    return _of_each_redis(
        "redis-eviction",
        facts,
        lambda one: f"maxmemory-policy is {one.policy}" if one.policy != EVICTS_NOTHING else "",
        told=lambda one: f"{one.name} {one.policy}",
        wanted="maxmemory-policy is noeviction: an evicted key is a lost job",
        remedy="`CONFIG SET maxmemory-policy noeviction`, and in its configuration file",
    )


def redis_memory(facts: Facts) -> Check:
    """Each Redis has as much memory left as it uses."""

    def part(one: Redis) -> float:
        # Without `maxmemory` the machine's memory is the limit; if neither is known, nothing is full.
        return one.used_bytes / ((one.max_bytes or one.machine_bytes) or float("inf"))

    return _of_each_redis(
        "redis-memory",
        facts,
        lambda one: (
            f"{part(one):.0%} of {size(one.max_bytes or one.machine_bytes)} are used"
            if part(one) > MEMORY_PART_MAX
            else ""
        ),
        told=lambda one: f"{one.name} uses {part(one):.0%} of {size(one.max_bytes or one.machine_bytes)}",
        wanted=f"at most {MEMORY_PART_MAX:.0%} of its memory is used",
        remedy="raise maxmemory (and the machine's), or add a shard; old moments are dropped",
    )


def _of_each_redis(
    name: str,
    facts: Facts,
    trouble: Callable[[Redis], str],
    *,
    told: Callable[[Redis], str],
    wanted: str,
    remedy: str,
    counts_errors: bool = False,
) -> Check:
    """A check of every Redis; one that does not answer is found by the check that counts errors."""
    # A Redis that does not answer is one error, in `redis-role`, and not one in each check.
    asked = [one for one in facts.inspection.redis if counts_errors or not one.error]
    wrong = [f"{one.name}: {text}" for one in asked if (text := trouble(one))]
    untold = "" if asked else facts.why("redis")
    return judged(name, wrong, found=listed([told(one) for one in asked]), wanted=wanted, remedy=remedy, untold=untold)
