"""deploy.checks.programs: each cause is found, and what is just good enough is not."""

import msgspec
import pytest

from deploy.checks import programs
from deploy.checks.facts import Facts, Row
from deploy.checks.verdict import Check
from tests.unit.deploy.checks.sound import (
    NOW_S,
    PROGRAMS,
    ROWS,
    SOUND,
    blind,
    of_redis,
    says,
    telling,
    with_program,
)

DAY_S = 86400.0


def check(facts: Facts, name: str) -> Check:
    """The check of this name."""
    (found,) = (one for one in programs.judge(facts) if one.name == name)
    return found


def strange(address: str) -> Facts:
    """The sound stack, but its second node is named c and has this address."""
    return with_program("b", name="c", address=address)


def test_a_sound_stack_passes_every_check() -> None:
    """And no two checks have one name."""
    found = [*programs.judge(SOUND)]

    assert [one for one in found if not one.ok] == []
    assert len({one.name for one in found}) == len(found) == 7


@pytest.mark.parametrize("name", [one.name for one in programs.judge(SOUND)])
def test_what_nobody_told_is_not_good(name: str) -> None:
    """When no program answers, nothing passes."""
    assert not check(blind(), name).ok


@pytest.mark.parametrize(
    ("name", "facts", "words"),
    [
        ("balancers", with_program("lb-2", error="ClientConnectorError: refused"), ("lb-2", "refused")),
        ("balancers", with_program("lb-1", ready=False, unready="not ready: 503 draining"), ("lb-1", "draining")),
        ("nodes", with_program("b", error="no answer in time"), ("b: no answer",)),
        ("nodes", with_program("b", ready=False, unready="not ready: 503 clock"), ("b: not ready",)),
        ("nodes-healthy", with_program("lb-2", rows=(ROWS[0], Row("b", "x", "dead", "late"))), ("lb-2", "b as dead")),
        ("listeners", with_program("worker-0", error="no answer in time"), ("worker worker-0: no answer",)),
        ("listeners", with_program("standby", error="its pod is Pending"), ("standby: its pod is Pending",)),
        ("nodes-healthy", strange("10.0.0.3:9001"), ("no balancer knows node c",)),
        ("clocks", with_program("b", ahead_ms=101.0), ("b is 101 ms ahead of",)),
        ("clocks", of_redis(ahead_ms=-150.0), ("ahead of Redis r:6379/0",)),
        ("certificates", telling("lb-1", certificate_ends_s=NOW_S + 13.9 * DAY_S), ("lb-1: 13.9 days",)),
        (
            "certificates",
            telling("lb-2", certificate_begins_s=NOW_S + 5400),
            ("lb-2: not valid for another 1.5 hours",),
        ),
        ("file-descriptors", telling("a", files_max=999), ("a: 999", "1,000")),
    ],
)
def test_each_cause_is_no_go(name: str, facts: Facts, words: tuple[str, ...]) -> None:
    """It is named, with who is concerned and what to do."""
    found = check(facts, name)

    assert found.ok is False
    assert says(found, *words), found


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        ("nodes-healthy", strange(ROWS[1].address)),  # under another name
        ("nodes-healthy", with_program("b", address="b.example:9001")),  # under another address
        ("clocks", with_program("b", ahead_ms=100.0)),
        ("certificates", telling("lb-1", certificate_ends_s=NOW_S + 14 * DAY_S)),
        ("certificates", telling("lb-1", certificate_begins_s=NOW_S)),
        ("file-descriptors", telling("a", files_max=1001)),
    ],
)
def test_what_is_just_good_enough_is_go(name: str, facts: Facts) -> None:
    """The other side of each limit."""
    assert check(facts, name).ok


@pytest.mark.parametrize(
    ("ahead_ms", "unsure_ms", "ok"), [(300.0, 60.0, False), (120.0, 40.0, None), (60.0, 45.0, None), (0.0, 51.0, None)]
)
def test_a_slow_answer_leaves_a_clock_in_doubt(ahead_ms: float, unsure_ms: float, *, ok: bool | None) -> None:
    """Only a difference beyond the doubt is no-go, and only one that cannot be too large is go."""
    assert check(with_program("b", ahead_ms=ahead_ms, unsure_ms=unsure_ms), "clocks").ok is ok


@pytest.mark.parametrize("kind", ["balancer", "node"])
def test_a_stack_without_a_tier_is_no_go(kind: str) -> None:
    """As a stack file after the stack has stopped."""
    facts = msgspec.structs.replace(SOUND, programs=tuple(one for one in PROGRAMS if one.kind != kind))

    assert says(check(facts, f"{kind}s"), f"no {kind} is known")
