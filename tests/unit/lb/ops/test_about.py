"""lb.ops.about: what a balancer tells of itself on its admin port."""

import msgspec
from aiohttp.test_utils import TestClient, TestServer

from lb.config import Config
from lb.ops.about import files_needed, homes_of, weak
from lb.ops.admin import application
from lb.placement.fleet import Fleet
from lb.placement.node import Member
from lb.placement.parameters import Placement

SEED = "a-seed-that-nobody-else-has"


def fleet(placement: Placement, *members: Member) -> Fleet:
    """A fleet of these members."""
    made = Fleet(placement)
    made.set_members(members, 0.0)
    return made


async def test_it_tells_settings_members_and_fingerprints(stage) -> None:  # noqa: ANN001 - the stage fixture
    """No secret and no credentials, in no field."""
    stage.context.config = msgspec.structs.replace(
        stage.config, redis_url="redis://me:hidden@h:1/0", ring_seed=SEED, stamp_secret="stamps-are-made-of-this"
    )
    async with TestClient(TestServer(application(stage.connections, None, {"--policy": "ring"}))) as client:
        answer = await client.get("/aboutz")
        found, text = await answer.json(), await answer.text()
        assert (await client.head("/aboutz")).status == 200

    assert found["program"] == "balancer"
    assert found["members"] == {"a": "127.0.0.1:9000", "b": "127.0.0.1:9001"}
    assert found["settings"]["SNAPSURGE_REDIS_URL"] == "h:1/0"
    assert found["settings"]["--policy"] == "ring"
    assert found["settings"]["SNAPSURGE_LB_CONNECTIONS_MAX"] == "20000"
    assert (found["certificate_begins_s"], found["certificate_ends_s"]) == (None, None)
    assert {name: len(prints) for name, prints in found["secrets"].items()} == {
        "SNAPSURGE_LB_RING_SEED": 1,
        "SNAPSURGE_LB_TICKET_SECRET": 1,
        "SNAPSURGE_LB_STAMP_SECRET": 1,
    }
    assert not [word for word in ("hidden", SEED, "a-secret-of-this-stage", "stamps-are") if word in text]


async def test_it_tells_the_dates_of_its_certificate(stage) -> None:  # noqa: ANN001 - the stage fixture
    """Those that could be read."""
    stage.context.certificate_begins_s, stage.context.certificate_ends_s = lambda: 5.0, lambda: float("inf")
    async with TestClient(TestServer(application(stage.connections))) as client:
        found = await (await client.get("/aboutz")).json()
    assert (found["certificate_begins_s"], found["certificate_ends_s"]) == (5.0, None)


async def test_homes_follow_the_ring(stage) -> None:  # noqa: ANN001 - the stage fixture
    """The page keeps the digest of a ring, and makes another one for another ring."""
    async with TestClient(TestServer(application(stage.connections))) as client:
        before = (await (await client.get("/aboutz")).json())["homes"]
        assert (await (await client.get("/aboutz")).json())["homes"] == before
        stage.fleet.set_members([Member(id="a", address="127.0.0.1:9000")], 0.0)
        assert (await (await client.get("/aboutz")).json())["homes"] != before


def test_balancers_that_differ_have_other_homes(stage) -> None:  # noqa: ANN001 - the stage fixture
    """Seed, table size, members and weights; not addresses, nor the order in which nodes were told."""
    placement = stage.fleet._placement
    a, b = Member(id="a", address="h:1"), Member(id="b", address="h:2")
    same = homes_of(fleet(placement, a, b))

    assert homes_of(fleet(placement, b, Member(id="a", address="h:9"))) == same
    others = [
        fleet(msgspec.structs.replace(placement, seed=b"other"), a, b),
        fleet(msgspec.structs.replace(placement, slots=2048), a, b),
        fleet(placement, a),
        fleet(placement, a, Member(id="b", address="h:2", weight=2)),
        fleet(placement),
    ]
    assert len({same, *map(homes_of, others)}) == 6


def test_a_seed_that_can_be_guessed_is_weak() -> None:
    """The public one, and one of 15 bytes; 16 are enough."""
    assert weak(Config()) == ["SNAPSURGE_LB_RING_SEED"]
    assert weak(Config(ring_seed="x" * 15)) == ["SNAPSURGE_LB_RING_SEED"]
    assert weak(Config(ring_seed="x" * 16)) == []


def test_each_client_needs_two_descriptors() -> None:
    """One more client, two more."""
    assert files_needed(Config(connections_max=11)) - files_needed(Config(connections_max=10)) == 2
