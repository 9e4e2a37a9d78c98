"""How many jobs a worker claims ahead: under a backlog alone, and about a second of work."""

from processors.ahead import AHEAD_MAX, AHEAD_S, Ahead
from storage.queue.claims import Room
from storage.queue.jobs import FLAGS, ON_TIME
from storage.queue.lease import Claimed


def jobs(*names: str, queue: str = ON_TIME) -> list[Claimed]:
    """Claimed jobs."""
    return [Claimed(name, b"", queue, "w:1") for name in names]


def test_nothing_is_claimed_ahead_without_a_backlog() -> None:
    """At first, and after a claim that left room; a full claim means a backlog."""
    ahead = Ahead(2)
    assert ahead.room() == 0
    ahead.claimed(jobs("a", "b"), Room(2))
    assert ahead.room() == 1
    ahead.claimed(jobs("c", "d"), Room(2, ahead=1))
    assert ahead.room() == 0


def test_flags_fill_no_room() -> None:
    """They run at once, beside the slots."""
    ahead = Ahead(2)
    ahead.claimed([*jobs("a"), *jobs("f", "g", queue=FLAGS)], Room(2, flags=9))

    assert ahead.room() == 0
    assert [one.id for one in ahead.taken()] == ["a"]


def test_the_shorter_the_jobs_the_more_are_claimed() -> None:
    """About as many as are done in a second, never more than the maximum; none of long jobs."""
    short, long, tiny = Ahead(2), Ahead(2), Ahead(2)
    for _ in range(50):
        short.took(0.5)
        long.took(10 * AHEAD_S)
        tiny.took(0.0)
    for ahead in (short, long, tiny):
        ahead.claimed(jobs("a"), Room(1))

    assert short.room() in {3, 4}
    assert long.room() == 0
    assert tiny.room() == AHEAD_MAX


def test_the_first_job_decides() -> None:
    """A worker knows after one job how many are a second of work; later ones count a fifth."""
    ahead = Ahead(2)
    ahead.took(0.25)
    ahead.claimed(jobs("a"), Room(1))
    assert ahead.room() == 8
    ahead.took(1.25)
    assert ahead.room() == 4


def test_jobs_wait_in_order_and_can_be_lost() -> None:
    """The first claimed is taken first; one whose lease was lost is not taken."""
    ahead = Ahead(2)
    ahead.claimed(jobs("a", "b", "c", "d"), Room(4))
    lost = ahead.dropped("b")

    assert lost is not None
    assert lost.id == "b"
    assert ahead.dropped("b") is None
    assert len(ahead) == 3
    assert [one.id for one in ahead.taken(2)] == ["a", "c"]
    assert [one.id for one in ahead.taken()] == ["d"]
