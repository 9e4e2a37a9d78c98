"""deploy.checks.redis_servers: each cause is found, and what is just good enough is not."""

import pytest

from deploy.checks import redis_servers
from deploy.checks.facts import Facts
from deploy.checks.verdict import Check
from tests.unit.deploy.checks.sound import GIB, REDIS, SOUND, blind, inspected, of_redis, says


def check(facts: Facts, name: str) -> Check:
    """The check of this name."""
    (found,) = (one for one in redis_servers.judge(facts) if one.name == name)
    return found


def test_a_sound_redis_passes_every_check() -> None:
    """And nothing is known of one that could not be looked at."""
    assert [one.name for one in redis_servers.judge(SOUND) if one.ok] == [
        "redis-role",
        "redis-persistence",
        "redis-eviction",
        "redis-memory",
    ]
    assert [one.ok for one in redis_servers.judge(blind())] == [None] * 4


@pytest.mark.parametrize(
    ("name", "facts", "words"),
    [
        ("redis-role", of_redis(error="Connection refused"), ("r:6379/0: Connection refused",)),
        ("redis-role", of_redis(role="slave"), ("it is a slave",)),
        ("redis-role", of_redis(group=True, replicas=0), ("no replica",)),
        ("redis-persistence", of_redis(failing=("rdb_last_bgsave_status",)), ("rdb_last_bgsave_status failed",)),
        ("redis-eviction", of_redis(policy="allkeys-lru"), ("allkeys-lru",)),
        ("redis-memory", of_redis(used_bytes=2 * GIB), ("100% of 2.0 GiB",)),
        ("redis-memory", of_redis(max_bytes=0, machine_bytes=GIB), ("100% of 1.0 GiB",)),
    ],
)
def test_each_cause_is_no_go(name: str, facts: Facts, words: tuple[str, ...]) -> None:
    """It is named, with what to do."""
    found = check(facts, name)

    assert found.ok is False
    assert says(found, *words), found


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        ("redis-role", of_redis(group=True, replicas=1)),
        ("redis-memory", of_redis(used_bytes=GIB, max_bytes=2 * GIB)),
        ("redis-memory", of_redis(max_bytes=0, machine_bytes=0)),
    ],
)
def test_what_is_just_good_enough_is_go(name: str, facts: Facts) -> None:
    """The other side of each limit."""
    assert check(facts, name).ok


def test_one_that_is_away_is_told_once() -> None:
    """Its role is wrong; what it would say of its memory is not guessed."""
    facts = inspected(redis=(REDIS, type(REDIS)(name="away", error="refused")))

    assert [one.ok for one in redis_servers.judge(facts)] == [False, True, True, True]
