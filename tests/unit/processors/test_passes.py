"""Which age class of moments is swept next, and when."""

from hypothesis import given
from hypothesis import strategies as st

from processors.passes import (
    IDLE_RESTS,
    REST_MAX_S,
    SWEPT_MS,
    Cursor,
    class_of,
    classes,
    due_s,
    next_due,
    pass_s,
    pause_s,
    rest_s,
)
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


@given(st.floats(0, SWEPT_MS / 1000), st.sampled_from([1.0, 5.0, 15.0, 40.0, 1000.0]))
def test_a_spread_is_visited_as_often_as_the_age_demands(age_s: float, every_s: float) -> None:
    """Also when a moment changes its age class: then the rest of one pass and most of the next lie in between."""
    now = class_of(age_s, every_s)

    assert pass_s(now, every_s) <= rest_s(age_s, every_s)
    assert now == 0 or pass_s(now - 1, every_s) + pass_s(now, every_s) <= rest_s(age_s, every_s)


def test_age_classes_by_default() -> None:
    """15 s, a minute, four minutes; from 25 minutes and from 100 minutes on."""
    assert [class_of(age_s, 15) for age_s in (0, 1499, 1500, 5999, 6000, 100_000)] == [0, 0, 1, 1, 2, 2]
    assert [pass_s(one, 15) for one in (0, 1, 2)] == [15, 60, 240]


def test_only_moments_that_accept_posts_are_swept() -> None:
    """Not one to come, not one that is over; those of about the same age together."""
    over_s = SWEPT_MS / 1000
    ages = {"to-come": -5, "open": 5, "young": 200, "late": over_s - 1, "over": over_s + 1}

    assert classes([moment(*one) for one in ages.items()], 15, NOW_S) == {"0": ["open", "young"], "2": ["late"]}


def test_the_class_that_waits_the_longest_is_next() -> None:
    """A class without a cursor is due at once."""
    swept = {"0": ["open"], "2": ["late"]}
    done = {"0": Cursor(256, NOW_S - 14), "2": Cursor(256, NOW_S - 240)}

    assert next_due(swept, {}, NOW_S, 15) in {"0", "2"}
    assert next_due(swept, done, NOW_S, 15) == "2"
    assert next_due(swept, done | {"2": Cursor(256, NOW_S - 1)}, NOW_S, 15) is None
    assert next_due(swept, done, NOW_S + 1, 15) == "2"
    assert next_due({"0": ["open"]}, done, NOW_S + 1, 15) == "0"


def test_steps_are_spread_over_the_pass() -> None:
    """The n-th spread is due after n of 256 parts of it; what was never swept is due at once."""
    assert due_s("0", None, 15, 2000) == 0
    assert [due_s("0", Cursor(done, 1000), 15, 2000) for done in (0, 128, 256)] == [1000, 1007.5, 1015]
    assert due_s("1", Cursor(64, 1000), 15, 2000) == 1015
    assert due_s("0", Cursor(128, 1000), 15, 999) == 0  # the clock was set back


def test_idle_steps_take_a_bounded_part_of_a_core() -> None:
    """However many are due; a step that found work is followed by the next at once."""
    assert pause_s(0.5, found_work=False) == 0.5 * IDLE_RESTS
    assert pause_s(0.5, found_work=True) == 0.0
