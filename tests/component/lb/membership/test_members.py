"""lb.membership.members: static nodes, heartbeats, the operator's changes and the snapshot together."""

import socket
from pathlib import Path

import pytest
from redis.asyncio import Redis

from ingest.heartbeat import Heartbeat
from ingest.heartbeat import Member as Said
from lb.config import Config
from lb.membership.heartbeats import RIGHTS
from lb.membership.members import Membership, parse_option
from lb.membership.overrides import Overrides
from lb.membership.snapshot import read_members, read_overrides, write_members
from lb.placement.fleet import Fleet
from lb.placement.health import Event, State
from lb.placement.node import Member
from lb.server import Options, placement

OPTIONS = Options(listen=("h", 0), admin=None, nodes=[], hash_on="uri", policy="ring", check=None)
A, B = Member(id="a", address="h:1"), Member(id="b", address="h:2")


@pytest.fixture
def fleet() -> Fleet:
    """A fleet of no nodes, without health checks."""
    return Fleet(placement(Config(), OPTIONS))


def test_options_are_id_and_address() -> None:
    """`--node a=h:1`, IPv6 in brackets too."""
    assert parse_option("a=h:1") == A
    assert parse_option("x=[::1]:9").address == "[::1]:9"
    assert parse_option("a=h:1,weight=3,zone=z") == Member(id="a", address="h:1", weight=3, zone="z")


@pytest.mark.parametrize(
    "option", ["a", "=h:1", "a=", "a=h", "a=h:x", "a=:1", "a=h:0", "a=h:1,weight=x", "a=h:1,sone=z"]
)
def test_bad_options_are_refused(option: str) -> None:
    """The error repeats what was given."""
    with pytest.raises(ValueError, match=r"host:port|ID=HOST:PORT"):
        parse_option(option)


async def test_a_balancer_starts_from_the_snapshot(fleet: Fleet, tmp_path: Path) -> None:
    """With Redis configured the last members are there before the first poll, static ones too and first."""
    path = tmp_path / "members.json"
    write_members(str(path), [A, B])
    config = Config(redis_url="redis://127.0.0.1:1", snapshot=str(path))
    Membership(config, fleet, [Member(id="b", address="h:9"), Member(id="c", address="h:3")])

    assert {name: node.member.address for name, node in fleet.nodes.items()} == {
        "a": "h:1",
        "b": "h:9",
        "c": "h:3",
    }


async def test_heartbeats_become_members_and_their_silence_is_noted(fleet: Fleet, redis: Redis, tmp_path: Path) -> None:
    """Who beats joins and is in the snapshot; who falls silent is suspect, then dead; a static node needs no beat."""
    path = tmp_path / "members.json"
    config = Config(redis_url="redis://unused", snapshot=str(path))
    membership = Membership(config, fleet, [Member(id="s", address="h:9")])
    for name in "xyz":
        await Heartbeat(redis, name, lambda: Said("h:1", 1, "", "serving"), 1.0).beat()
    assert await membership.try_poll(redis)
    assert set(fleet.nodes) == set(fleet.shares) == {"s", "x", "y", "z"}
    assert [member.id for member in read_members(str(path))] == ["x", "y", "z"]
    seconds, _ = await redis.time()
    await redis.zadd("snapsurge:nodes:beats", {"y": (seconds - 5) * 1000})
    states = []
    for _ in range(2):
        await membership.try_poll(redis)
        states.append(fleet.nodes["y"].health.state)
    assert states == [State.SUSPECT, State.DEAD]
    assert fleet.nodes["s"].health.state is State.HEALTHY


async def test_without_redis_everything_stays(fleet: Fleet, free_port: int) -> None:
    """A poll that fails changes no member and holds no silence against anybody."""
    membership = Membership(Config(), fleet, [Member(id="a", address="h:1")])
    fleet.nodes["a"].silent = True
    fleet.note(fleet.nodes["a"], Event.SILENT, 0.0)
    async with Redis(port=free_port) as away:
        assert not await membership.try_poll(away)

    assert fleet.nodes["a"].health.state is State.HEALTHY


async def test_a_redis_that_does_not_answer_is_logged_with_the_reason(
    fleet: Fleet,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It accepts and stays silent: the exception has no text of its own."""
    membership = Membership(Config(redis_timeout_ms=50), fleet, [])
    with socket.create_server(("127.0.0.1", 0)) as silent:
        async with Redis(port=silent.getsockname()[1]) as away:
            assert not await membership.try_poll(away)

    assert caplog.messages[-1].endswith("until Redis answers: no answer in 50 ms")


async def test_the_operators_changes_are_in_force_and_kept(fleet: Fleet, tmp_path: Path) -> None:
    """After `change` the ring is the new one; another balancer starts with them."""
    config = Config(redis_url="redis://unused", snapshot=str(tmp_path / "members.json"))
    membership = Membership(config, fleet, [A, B])
    await membership.change(Overrides(removed=frozenset("a"), weights={"b": 3}))

    assert set(fleet.shares) == {"b"}
    assert not fleet.stale
    assert read_overrides(config.snapshot) == membership.overrides
    assert set(Membership(config, fleet, [A, B]).overrides.over(membership.announced)) == {"b"}


async def test_a_balancer_without_redis_agrees_with_one_that_has_it(redis: Redis, tmp_path: Path) -> None:
    """One hears nine nodes beat, the other starts later from the snapshot: 10,000 keys have the same homes."""
    path = str(tmp_path / "members.json")
    fleets = [Fleet(placement(Config(ring_slots=4096), OPTIONS)) for _ in range(2)]
    hearing = Membership(Config(redis_url="redis://unused", snapshot=path), fleets[0], [A])
    for number in (4, 1, 8, 3, 7, 2, 9, 5, 6):
        await Heartbeat(redis, f"n{number}", lambda: Said("h:1", 1, "", "serving"), 1.0).beat()
    await hearing.try_poll(redis)
    Membership(Config(redis_url="redis://unused", snapshot=path), fleets[1], [A])

    assert len(fleets[0].nodes) == len(fleets[1].nodes) == 10
    keys = [b"key-%d" % number for number in range(10_000)]
    assert [fleets[0].home(key) for key in keys] == [fleets[1].home(key) for key in keys]


async def test_the_documented_rights_are_enough_and_a_missing_one_is_logged_with_the_rule(
    fleet: Fleet,
    redis: Redis,
    redis_url: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Redis itself does not say which command a script may not run."""
    assert f"`{RIGHTS}`" in Path("lb/README.md").read_text(encoding="utf-8")
    url = redis_url.replace("://", "://balancer:secret@")
    user = ("ACL", "SETUSER", "balancer", "reset", "on", ">secret", *RIGHTS.split())
    try:
        async with Redis.from_url(url) as client:
            await redis.execute_command(*user)
            membership = Membership(Config(redis_timeout_ms=5000), fleet, [])
            for name in "xyz":  # all entries, then none, then one that changed
                await Heartbeat(redis, name, lambda: Said("h:1", 1, "", "serving"), 1.0).beat()
                assert await membership.try_poll(client)
                assert await membership.try_poll(client)
            for missing in ("-eval", "-time", "resetkeys"):
                await redis.execute_command(*user, missing)
                assert not await Membership(Config(redis_timeout_ms=5000), fleet, []).try_poll(client)
                assert caplog.messages[-1].endswith(f"its user needs the ACL rule {RIGHTS}")
    finally:
        await redis.execute_command("ACL", "DELUSER", "balancer")
