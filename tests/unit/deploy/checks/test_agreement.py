"""deploy.checks.agreement: each difference is found, and what may differ is not."""

import msgspec
import pytest

from deploy.checks import agreement
from deploy.checks.facts import Facts
from deploy.checks.verdict import Check
from tests.unit.deploy.checks.sound import BALANCER, NODE, PROGRAMS, SHARED, SOUND, blind, inspected, says, telling


def check(facts: Facts, name: str) -> Check:
    """The check of this name."""
    (found,) = (one for one in agreement.judge(facts) if one.name == name)
    return found


def test_a_sound_stack_passes_every_check() -> None:
    """And no two checks have one name."""
    found = [*agreement.judge(SOUND)]

    assert [one for one in found if not one.ok] == []
    assert len({one.name for one in found}) == len(found) == 11


@pytest.mark.parametrize("name", [one.name for one in agreement.judge(SOUND)])
def test_what_nobody_told_is_in_doubt(name: str) -> None:
    """When no program answers, nothing agrees and nothing differs."""
    assert check(blind(), name).ok is None


@pytest.mark.parametrize(
    ("name", "facts", "words"),
    [
        ("members", telling("lb-2", members={"a": "10.0.0.1:9001"}), ("lb-2 differ from lb-1",)),
        ("members", telling("lb-2", members={**BALANCER.members, "b": "10.0.0.9:9001"}), ("lb-2",)),
        ("homes", telling("lb-2", homes="other"), ("lb-2 differ",)),
        ("versions", telling("lb-2", code={"lb": "2"}), ("lb: lb-2",)),
        ("versions", telling("worker-0", code={"processors": "1", "storage": "2"}), ("storage: worker-0",)),
        ("settings", telling("lb-2", settings={"SNAPSURGE_LB_IDLE_S": "76"}), ("SNAPSURGE_LB_IDLE_S: lb-2 have '76'",)),
        ("settings", telling("worker-0", settings={"SNAPSURGE_STORE_URL": "s3://c"}), ("STORE_URL: worker-0",)),
        ("settings", telling("lb-1", settings={"SNAPSURGE_REDIS_URL": "q:1/0"}), ("SNAPSURGE_REDIS_URL: lb-1",)),
        ("addresses", inspected(addresses={**SHARED, "SNAPSURGE_REDIS_URL": "q:1/0"}), ("lb-1 uses", "'q:1/0'")),
        ("addresses", inspected(addresses={**SHARED, "SNAPSURGE_STORE_URL": "file:///x"}), ("a uses", "file:///x")),
        ("addresses", inspected(addresses={**SHARED, "SNAPSURGE_SHARD_URLS": "q:1/0"}), ("worker-0 uses",)),
        ("ring-seed", telling("lb-2", secrets={"SNAPSURGE_LB_RING_SEED": ["z"]}), ("lb-2 differ from lb-1",)),
        ("ticket-secret", telling("lb-2", secrets={"SNAPSURGE_LB_TICKET_SECRET": ["z"]}), ("lb-1 does not accept",)),
        ("auth-secret", telling("b", secrets={"SNAPSURGE_AUTH_SECRET": ["z"]}), ("a does not accept what b signs",)),
        ("link-secret", telling("b", secrets={}), ("b does not accept what a signs",)),
        ("stamp-secret", telling("b", secrets={"SNAPSURGE_INGEST_STAMP_SECRET": ["z"]}), ("b does not accept",)),
        ("stamp-secret", telling("lb-1", secrets={}), ("does not accept what lb-1 signs",)),
        ("secrets", telling("a", weak=["SNAPSURGE_AUTH_SECRET"]), ("a: SNAPSURGE_AUTH_SECRET",)),
    ],
)
def test_each_difference_is_no_go(name: str, facts: Facts, words: tuple[str, ...]) -> None:
    """It is named, with who is concerned and what to do."""
    found = check(facts, name)

    assert found.ok is False
    assert says(found, *words), found


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        ("settings", telling("a", settings={**NODE.settings, "SNAPSURGE_LB_IDLE_S": "1"})),  # another kind of program
        ("ticket-secret", telling("lb-2", secrets={**BALANCER.secrets, "SNAPSURGE_LB_TICKET_SECRET": ["t", "new"]})),
        ("auth-secret", telling("b", secrets={**NODE.secrets, "SNAPSURGE_AUTH_SECRET": ["a", "old"]})),
    ],
)
def test_what_may_differ_is_go(name: str, facts: Facts) -> None:
    """Of a secret that is being replaced, the other one is accepted too."""
    assert check(facts, name).ok


def test_a_rotation_needs_both_to_accept_both() -> None:
    """`new,old` here and only `old` there: what the first signs is not accepted yet."""
    facts = telling("lb-2", secrets={**BALANCER.secrets, "SNAPSURGE_LB_TICKET_SECRET": ["new", "t"]})

    assert says(check(facts, "ticket-secret"), "lb-1 does not accept what lb-2 signs")


@pytest.mark.parametrize(
    ("trusted", "address", "ok"),
    [
        ("10.0.0.0/8", "10.0.0.2:9001", True),
        ("127.0.0.0/8,::1/128", "127.0.0.1:9001", True),
        ("127.0.0.0/8,::1/128", "[::1]:9001", True),
        ("127.0.0.0/8,::1/128", "node.example:9001", True),  # nobody can tell
        ("127.0.0.0/8,::1/128", "10.0.0.2:9001", False),  # the default, on another machine
        ("", "10.0.0.2:9001", False),
        ("", "", False),
    ],
)
def test_nodes_may_believe_addresses_in_place_of_stamps(trusted: str, address: str, *, ok: bool) -> None:
    """Without a stamp secret balancers may have one or none; but a node that believes nobody makes users late."""
    secrets = {**NODE.secrets, "SNAPSURGE_INGEST_STAMP_SECRET": []}
    settings = {**NODE.settings, "SNAPSURGE_INGEST_TRUSTED_PEERS": trusted}
    plain = msgspec.structs.replace(NODE, secrets=secrets, settings=settings)
    programs = [msgspec.structs.replace(p, about=plain, address=address) for p in PROGRAMS if p.kind == "node"]
    facts = msgspec.structs.replace(SOUND, programs=(*(p for p in PROGRAMS if p.kind != "node"), *programs))

    assert check(facts, "stamp-secret").ok is ok
