"""deploy.checks.facts: who told what, and why a part is not known."""

from tests.unit.deploy.checks.sound import SOUND, blind, inspected, with_program


def test_programs_by_kind_and_those_that_told() -> None:
    """A program that does not answer is known, but tells nothing."""
    facts = with_program("a", about=None, error="refused")

    assert [one.name for one in facts.of("node")] == ["a", "b"]
    assert [one.name for one, _ in facts.telling("node")] == ["b"]
    assert [one.name for one, _ in facts.telling()] == ["lb-1", "lb-2", "b", "worker-0", "autoscaler", "standby"]


def test_why_a_part_is_not_known() -> None:
    """The inspection did not run, its part failed, or there is nothing."""
    assert blind("too slow").why("queue") == "too slow"
    assert inspected(errors={"queue": "refused"}).why("queue") == "refused"
    assert SOUND.why("scaling") == "there is no decision of an autoscaler in Redis"
    assert SOUND.why("queue") == "not known"
