"""What Prometheus is told to scrape, through a real Redis."""

import pytest
from redis.asyncio import Redis

import lb.membership.announcing as balancers
from ingest.heartbeat import Heartbeat, Member
from processors.scaling import targets
from processors.scaling.targets import Group, Target, advertised, announced, found
from processors.scaling.views import views
from storage.keys import NODES_KEYS, TARGETS_KEY


async def told(redis: Redis, count: int) -> list[Group]:
    """The targets, once so many are known."""
    while len(groups := await found(redis)) != count:
        pass
    return groups


async def test_every_tier_is_found(redis: Redis) -> None:
    """Workers, autoscalers and balancers by their announcement, nodes by their heartbeat; gone when they stop."""
    balancer = balancers.Announcing(redis, 5.0)
    balancer.begin("127.0.0.1", 8090)
    await balancer.announce()
    node = Heartbeat(redis, "a", lambda: Member("127.0.0.1:9001", 1, "", "serving"), 1.0)
    await node.beat()
    async with (
        announced(redis, Target("worker", "127.0.0.1:9100", "host:7")),
        announced(redis, Target("autoscaler", "127.0.0.1:9200")),
    ):
        assert await told(redis, 4) == [
            Group(("127.0.0.1:9200",), {"tier": "autoscaler"}),
            Group(("127.0.0.1:8090",), {"tier": "balancer"}),
            Group(("127.0.0.1:9001",), {"tier": "node", "node": "a"}),
            Group(("127.0.0.1:9100",), {"tier": "worker", "__meta_snapsurge_process": "host:7"}),
        ]
        assert await views(redis, None)["/v1/targets"]({}) == await found(redis)
    await node.leave()
    await balancer.end()

    assert await found(redis) == []


async def test_who_vanished_stays_for_ten_minutes(redis: Redis) -> None:
    """So that Prometheus sees that it does not answer; then it goes, from both lists."""
    await Heartbeat(redis, "a", lambda: Member("127.0.0.1:9001", 1, "", "serving"), 1.0).beat()
    seconds, micros = await redis.time()
    now_ms = seconds * 1000 + micros // 1000
    entry = b'{"tier":"worker","address":"127.0.0.1:9100"}'
    for age_ms, kept in ((targets.KEPT_MS - 30_000, 2), (targets.KEPT_MS + 1000, 0)):
        await redis.zadd(NODES_KEYS[1], {"a": now_ms - age_ms})
        await redis.zadd(TARGETS_KEY, {entry: now_ms - age_ms})
        assert len(await found(redis)) == kept
    async with announced(redis, Target("worker", "127.0.0.1:9101")):
        await told(redis, 1)

        assert await redis.zcard(TARGETS_KEY) == 1, "the old one is forgotten by the next announcement"


async def test_what_cannot_be_read_hides_nothing_else(redis: Redis) -> None:
    """Entries of another version, or of somebody else."""
    seconds, _ = await redis.time()
    for entry in (b"\xff", b"{}", b'{"tier":"mirror","address":"h:1"}', b"[" * 100_000):
        await redis.zadd(TARGETS_KEY, {entry: seconds * 1000})
    await redis.hset(NODES_KEYS[0], "b", "[")
    await redis.zadd(NODES_KEYS[1], {"b": seconds * 1000})
    await redis.zadd(TARGETS_KEY, {b'{"tier":"worker","address":"h:1"}': seconds * 1000})

    assert await found(redis) == [Group(("h:1",), {"tier": "worker"})]


async def test_what_is_no_address_is_not_scraped(redis: Redis) -> None:
    """Only host:port: no path, query or user; and IPv6 as it stands in a URL, also of nodes, which write it bare."""
    seconds, _ = await redis.time()
    wrong = ("h:1/metrics", "http://h:1", "u@h:1", "h:1?a=b", "h:0", "h:65536", "h", "a b:1", ":1", "h:\u0661", "[h]:1")
    for address in (*wrong, "[::1]:9100", "10.0.0.1:9100"):
        entry = b'{"tier":"worker","address":"%s"}' % address.encode()
        await redis.zadd(TARGETS_KEY, {entry: seconds * 1000})
        await redis.hset(NODES_KEYS[0], address, b'{"address":"%s"}' % address.encode())
        await redis.zadd(NODES_KEYS[1], {address: seconds * 1000})
    await redis.hset(NODES_KEYS[0], "six", '{"address":"fd00::1:9001"}')
    await redis.zadd(NODES_KEYS[1], {"six": seconds * 1000})

    assert await found(redis) == [
        Group(("10.0.0.1:9100",), {"tier": "node", "node": "10.0.0.1:9100"}),
        Group(("[::1]:9100",), {"tier": "node", "node": "[::1]:9100"}),
        Group(("[fd00::1]:9001",), {"tier": "node", "node": "six"}),
        Group(("10.0.0.1:9100",), {"tier": "worker"}),
        Group(("[::1]:9100",), {"tier": "worker"}),
    ]


async def test_who_wrote_before_the_clock_was_set_back_goes_too(redis: Redis) -> None:
    """A program that lives writes again within seconds; one that is gone would stay until that time comes again."""
    await Heartbeat(redis, "a", lambda: Member("127.0.0.1:9001", 1, "", "serving"), 1.0).beat()
    seconds, _ = await redis.time()
    for ahead_ms, kept in ((targets.KEPT_MS - 30_000, 2), (targets.KEPT_MS + 30_000, 0)):
        await redis.zadd(NODES_KEYS[1], {"a": seconds * 1000 + ahead_ms})
        await redis.zadd(TARGETS_KEY, {b'{"tier":"worker","address":"h:1"}': seconds * 1000 + ahead_ms})
        assert len(await found(redis)) == kept
    async with announced(redis, Target("worker", "127.0.0.1:9101")):
        await told(redis, 1)

        assert await redis.zcard(TARGETS_KEY) == 1, "the old one is forgotten by the next announcement"


async def test_without_redis_nothing_is_known(absent_redis: Redis) -> None:
    """The answer is 503, and Prometheus keeps the targets that it has."""
    async with announced(absent_redis, Target("worker", "h:1")):
        assert await views(absent_redis, None)["/v1/targets"]({}) is None


def test_the_balancer_has_the_same_script() -> None:
    """It imports no other package, so it has a copy."""
    assert balancers.ANNOUNCE == targets.ANNOUNCE
    assert balancers.KEY == TARGETS_KEY


@pytest.mark.parametrize("advertise", [advertised, balancers.advertised])
def test_who_listens_on_all_addresses_names_one(advertise: type[object]) -> None:
    """Nobody can scrape 0.0.0.0."""
    assert advertise("127.0.0.1", 9100) == "127.0.0.1:9100"
    assert advertise("::1", 9100) == "[::1]:9100"
    assert not str(advertise("0.0.0.0", 9100)).startswith("0.")  # noqa: S104 - asked, not bound
