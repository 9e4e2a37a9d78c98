"""ingest.asked: when a node takes itself for forgotten."""

from ingest.asked import Asked, Verdict


def verdicts(asked: Asked, seconds: int) -> list[Verdict]:
    """What it says each second."""
    return [asked.went_by(1.0) for _ in range(seconds)]


def test_a_node_that_was_never_asked_lives_alone() -> None:
    """Run by hand, nobody restarts it."""
    assert set(verdicts(Asked(register_s=5, restart_s=15), 100)) == {"fine"}


def test_silence_registers_once_and_then_restarts() -> None:
    """After five seconds, after fifteen; each question starts both over."""
    asked = Asked(register_s=5, restart_s=15)
    asked.by_balancer()
    said = verdicts(asked, 14)
    assert [said.index("register"), said.count("register"), said.count("restart")] == [4, 1, 0]
    asked.by_balancer()
    assert "register" in verdicts(asked, 14)
    assert verdicts(asked, 1) == ["restart"]


def test_its_own_standstill_is_not_the_balancers_silence() -> None:
    """A process stopped for an hour waits for the next question first."""
    asked = Asked(register_s=5, restart_s=15)
    asked.by_balancer()

    assert asked.went_by(3600.0) == "fine"


def test_zero_switches_it_off() -> None:
    """Neither is ever said."""
    asked = Asked(register_s=0, restart_s=0)
    asked.by_balancer()

    assert set(verdicts(asked, 100)) == {"fine"}
