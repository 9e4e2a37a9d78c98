"""The steps of a pair; tests/unit/ingest/test_histories.py has more of them."""

from msgspec import structs

from storage.records import UNTIMED, Times
from storage.steps import STEPS, Step, steps

TIMES = Times(
    head_ms=0, body_ms=4, committed_ms=5, queued_ms=6, claimed_ms=9, started_ms=9, rendered_ms=20, ready_ms=25
)


def test_the_steps_follow_each_other_without_a_gap() -> None:
    """From the first head to the end; without a retry there is no wait for one."""
    found, unknown = steps(TIMES)

    assert [step.name for step in found] == [name for name, *_ in STEPS if name != "retry"]
    assert found[0].from_ms == 0
    assert [step.to_ms for step in found[:-1]] == [step.from_ms for step in found[1:]]
    assert unknown == []


def test_what_is_not_known_is_named() -> None:
    """A step that has no end is none; the next begins where the last known one ended."""
    found, unknown = steps(structs.replace(TIMES, committed_ms=None, ready_ms=None))

    assert Step("enqueue", "wait", "", 4, 6) in found
    assert unknown == ["commit", "store"]
    assert steps(UNTIMED) == ([], [name for name, *_ in STEPS])
