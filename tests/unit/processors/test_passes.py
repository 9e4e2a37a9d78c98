"""Which moment is swept next, and when."""

from processors.passes import IDLE_RESTS, REST_MAX_S, SWEPT_MS, Cursor, due_s, next_due, pause_s, rest_s
from storage.records import Moment, from_ms

NOW_S = 1_767_225_660.0


def moment(name: str, age_s: float) -> Moment:
    """A moment that fired so long ago."""
    fires_ms = int((NOW_S - age_s) * 1000)
    return Moment(id=name, region="eu", fires_at=from_ms(fires_ms), closes_at=from_ms(fires_ms + 120_000), window_s=120)


def test_the_older_a_moment_the_longer_it_rests() -> None:
    """Between the setting and five minutes."""
    assert rest_s(30, 15) == 15
    assert rest_s(1200, 15) == 60
    assert rest_s(24 * 3600, 15) == REST_MAX_S
    assert rest_s(24 * 3600, 1000) == 1000


def test_only_moments_that_accept_posts_are_due() -> None:
    """Not one to come, not one that is over; the one that waits the longest is next."""
    over_s = SWEPT_MS / 1000
    moments = [moment("to-come", -5), moment("open", 5), moment("late", over_s - 1), moment("over", over_s + 1)]
    done = {"open": Cursor(256, NOW_S - 14), "late": Cursor(256, NOW_S - REST_MAX_S)}

    assert next_due(moments, {}, NOW_S, 15) in {"open", "late"}
    assert next_due(moments, done, NOW_S, 15) == "late"
    assert next_due(moments, done | {"late": Cursor(256, NOW_S - 1)}, NOW_S, 15) is None
    assert next_due(moments, done, NOW_S + 1, 15) == "late"
    assert next_due([moments[1]], done, NOW_S + 1, 15) == "open"


def test_steps_are_spread_over_the_rest() -> None:
    """The n-th spread is due after n of 256 parts of it; what was never swept is due at once."""
    assert due_s(30, None, 15, 2000) == 0
    assert [due_s(30, Cursor(done, 1000), 15, 2000) for done in (0, 128, 256)] == [1000, 1007.5, 1015]
    assert due_s(1200, Cursor(64, 1000), 15, 2000) == 1015
    assert due_s(30, Cursor(128, 1000), 15, 999) == 0  # the clock was set back


def test_idle_steps_take_a_bounded_part_of_a_core() -> None:
    """However many are due; a step that found work is followed by the next at once."""
    assert pause_s(0.5, found_work=False) == 0.5 * IDLE_RESTS
    assert pause_s(0.5, found_work=True) == 0.0
