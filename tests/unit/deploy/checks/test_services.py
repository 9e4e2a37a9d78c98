"""deploy.checks.services: each cause is found, and what is just good enough is not."""

import msgspec
import pytest

from deploy.checks import services
from deploy.checks.facts import Facts, Folder, Moment, Queue, Rehearsal, Scaling
from deploy.checks.verdict import Check
from tests.unit.deploy.checks.sound import GIB, SOUND, blind, inspected, of_store, says, with_program

NAMED = msgspec.structs.replace(SOUND, moment_id="eu-20260101-x", disk=Folder("/s", 6 * GIB, 100 * GIB))
DAY_S = 86400.0


def check(facts: Facts, name: str) -> Check:
    """The check of this name, of the moment and the disk too."""
    full = msgspec.structs.replace(facts, moment_id=NAMED.moment_id, disk=facts.disk or NAMED.disk)
    (found,) = (one for one in services.judge(full) if one.name == name)
    return found


def rehearsed(**changes: object) -> Facts:
    """The sound stack with another rehearsal."""
    return msgspec.structs.replace(SOUND, rehearsal=msgspec.structs.replace(SOUND.rehearsal, **changes))


def at(fires_at: str, *, cancelled: bool = False) -> Facts:
    """The sound stack with a moment that fires then."""
    return inspected(moment=Moment(id="m", region="eu", fires_at=fires_at, window_s=120, cancelled=cancelled))


def test_a_sound_stack_passes_every_check() -> None:
    """With a moment and a folder, and without."""
    assert [one for one in services.judge(NAMED) if not one.ok] == []
    names = [one.name for one in services.judge(NAMED)]
    assert len(set(names)) == len(names) == 12
    assert {one.name for one in services.judge(SOUND)} == set(names) - {"moment", "disk"}


@pytest.mark.parametrize("name", [one.name for one in services.judge(NAMED) if one.name not in {"disk", "rehearsal"}])
def test_what_was_not_found_out_is_not_told(name: str) -> None:
    """When store and Redis could not be looked at, nothing passes, and nothing is said to be wrong with them."""
    assert check(blind(), name).ok is None


@pytest.mark.parametrize(
    ("name", "facts", "words"),
    [
        ("moment", at("2025-12-31T23:59:59.000Z"), ("m fired 1 s ago",)),
        ("moment", at("2026-01-01T00:10:00.000Z", cancelled=True), ("m was cancelled",)),
        (
            "moment",
            inspected(moment=None, errors={"moment": "the store has none with this id"}),
            ("none with this id",),
        ),
        ("fleet", inspected(scaling=Scaling(desired=2, tiers={"node": 3})), ("2 of tier node", "wants 3")),
        ("fleet", inspected(scaling=Scaling(desired=2, tiers={"lb": 3})), ("2 of tier lb", "wants 3")),
        ("workers", inspected(workers=1), ("1 workers", "wants 2")),
        ("queue", inspected(queue=Queue(ready=1)), ("1 jobs wait",)),
        ("queue", inspected(queue=Queue(ready=0, leased=2)), ("2 run",)),
        ("queue", inspected(queue=Queue(ready=0, deferred=3)), ("3 are put off",)),
        ("dead-letters", inspected(queue=Queue(ready=0, dead=1)), ("1 jobs were given up",)),
        ("sweeper", with_program("autoscaler", sweep_behind_s=121.0), ("autoscaler is 121 s behind",)),
        ("store-conditional-writes", of_store(raced=False, unfit="8 of 8 succeeded"), ("8 of 8",)),
        ("store-conditional-writes", of_store(raced=False, error="no bucket"), ("no bucket",)),
        ("store-endpoints", of_store(endpoints={"http://s": "UP", "http://t": "DOWN"}), ("http://t is DOWN",)),
        ("store-settings", of_store(warnings=("it keeps versions",)), ("keeps versions",)),
        ("store-space", of_store(free_bytes=10 * GIB - 1), ("of 100.0 GiB free",)),
        ("store-space", of_store(free_bytes=GIB - 1, all_bytes=2 * GIB), ("free",)),
        ("store-space", msgspec.structs.replace(SOUND, need_bytes=11.0 * GIB), ("10.0 GiB",)),
        ("disk", msgspec.structs.replace(SOUND, disk=Folder("/s", 5 * GIB - 1, 100 * GIB)), ("/s",)),
        ("disk", msgspec.structs.replace(SOUND, disk=Folder("/s", GIB - 1, 2 * GIB)), ("/s",)),
        ("rehearsal", rehearsed(passed=False, text="14 of 15 trials passed"), ("14 of 15", "0.0 days ago")),
        ("rehearsal", rehearsed(age_s=7.1 * DAY_S), ("but 7.1 days ago",)),
        ("rehearsal", msgspec.structs.replace(SOUND, rehearsal=Rehearsal(error="there is no report")), ("no report",)),
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
        ("moment", at("2026-01-01T00:00:00.001Z")),
        ("fleet", inspected(scaling=Scaling(desired=2))),
        ("fleet", inspected(scaling=Scaling(desired=2, tiers={"node": 1, "lb": 0}))),
        ("workers", inspected(workers=3)),
        ("sweeper", with_program("autoscaler", sweep_behind_s=120.0)),
        ("store-endpoints", of_store(endpoints={})),
        ("store-space", of_store(free_bytes=10 * GIB)),
        ("store-space", of_store(free_bytes=None, all_bytes=None, bounded=False)),
        ("store-space", msgspec.structs.replace(SOUND, need_bytes=10.0 * GIB)),
        ("disk", msgspec.structs.replace(SOUND, disk=Folder("/s", 5 * GIB, 100 * GIB))),
        ("rehearsal", rehearsed(age_s=7 * DAY_S)),
    ],
)
def test_what_is_just_good_enough_is_go(name: str, facts: Facts) -> None:
    """The other side of each limit."""
    assert check(facts, name).ok, check(facts, name)


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        ("fleet", inspected(scaling=None)),
        ("workers", inspected(workers=None, errors={"workers": "refused"})),
        ("queue", inspected(queue=None, errors={"queue": "refused"})),
        ("sweeper", with_program("autoscaler", sweep_behind_s=None)),
        ("store-space", of_store(free_bytes=None)),
    ],
)
def test_what_a_part_does_not_tell_is_in_doubt(name: str, facts: Facts) -> None:
    """No decision of an autoscaler, a Redis that refuses, a store that does not tell its space."""
    assert check(facts, name).ok is None


def test_a_node_that_is_not_ready_is_not_counted() -> None:
    """The ladder wants ready ones."""
    assert says(check(with_program("b", ready=False), "fleet"), "1 of tier node")
