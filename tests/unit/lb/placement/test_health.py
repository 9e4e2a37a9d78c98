"""lb.placement.health: the table of a node's health."""

import pytest

from lb.placement.health import TABLE, Damping, Event, Health, State, Thresholds, newcomer, step

LIMITS = Thresholds(rise=2, fall=2)
P, F, R, T, D = Event.PASSED, Event.FAILED, Event.REFUSED, Event.TIMED_OUT, Event.DRAIN


def after(*events: Event, limits: Thresholds = LIMITS) -> Health:
    """The health of a new node after these events, one a second."""
    health = newcomer(now=0.0, checked=True, thresholds=limits)
    for second, event in enumerate(events, 1):
        health = step(health, event, now=float(second), thresholds=limits)
    return health


@pytest.mark.parametrize(
    ("events", "state"),
    [
        ((), State.JOINING),
        ((P,), State.HEALTHY),
        ((F, P), State.JOINING),
        ((F, P, P), State.HEALTHY),
        ((F, F), State.DEAD),
        ((P, F), State.SUSPECT),
        ((P, F, F), State.DEAD),
        ((P, F, P), State.SUSPECT),
        ((P, F, P, P), State.HEALTHY),
        ((P, T), State.SUSPECT),
        ((P, R), State.DEAD),
        ((P, R, P), State.JOINING),
        ((P, R, P, P), State.HEALTHY),
        ((P, R, P, F, P), State.JOINING),
        ((P, Event.SILENT), State.SUSPECT),
        ((P, Event.SILENT, Event.SILENT), State.DEAD),
        ((P, Event.SILENT, F), State.DEAD),
        ((P, Event.RESET), State.SUSPECT),
        ((P, Event.RESET, Event.RESET), State.DEAD),
        ((P, Event.FAULTY, Event.FAULTY), State.SUSPECT),
        ((P, Event.FAULTY, P, P), State.HEALTHY),
        ((P, D), State.DRAINING),
        ((P, D, P, F, R), State.DRAINING),
        ((P, R, Event.RESTED), State.HEALTHY),
        ((P, D, Event.SERVE), State.JOINING),
    ],
)
def test_events_lead_where_the_table_says(events: tuple[Event, ...], state: State) -> None:
    """Rise and fall are two; a refused connection counts at once."""
    assert after(*events).state is state


def test_who_is_ejected_again_soon_is_flapping() -> None:
    """Not the first time, nor long after."""
    assert not after(P, Event.FAULTY).flapping
    back = after(P, Event.FAULTY, P, P)
    assert step(back, Event.FAULTY, now=5.0, thresholds=LIMITS).flapping
    assert not step(back, Event.FAULTY, now=1000.0, thresholds=LIMITS).flapping


def test_a_threshold_of_one_skips_doubt() -> None:
    """With fall 1 the first failed check is death."""
    assert after(P, F, limits=Thresholds(rise=1, fall=1)).state is State.DEAD


def test_ejections_reasons_and_times_are_kept() -> None:
    """Leaving health is counted once, whatever comes after; reason and time are those of the last move."""
    health = step(after(P, F), F, now=9.0, thresholds=LIMITS, reason="check timed out")

    assert (health.state, health.ejections, health.since, health.reason) == (State.DEAD, 1, 9.0, "check timed out")
    assert after(P, D).ejections == 0


def test_every_row_leads_to_a_state_that_can_be_left() -> None:
    """No state is a trap: each has a row that leaves it."""
    for state in State:
        assert any(row.then is not state for (source, _), row in TABLE.items() if source is state)


def test_an_unchecked_node_is_healthy_from_the_start() -> None:
    """Without active checks only connections can prove a node bad."""
    assert newcomer(now=0.0, checked=False, thresholds=LIMITS).state is State.HEALTHY


def test_a_flapping_node_stays_out_longer_each_time() -> None:
    """The first ejection costs nothing extra; each further one doubles, up to a limit, and calm is rewarded."""
    limits = Thresholds(damping=Damping(base_s=1.0, max_s=8.0, half_life_s=60.0))
    health, out, now = newcomer(now=0.0, checked=True, thresholds=limits), [], 0.0
    for _ in range(8):
        while health.state is not State.HEALTHY:
            now += 0.25
            health = step(health, P, now=now, thresholds=limits)
        health = step(health, R, now=now, thresholds=limits)
        out.append(health.out_until - now)

    assert out[0] == 0
    assert out == sorted(out)
    assert out[2] > 3
    assert out[-1] == 8
    calm = step(health, P, now=now + 1000, thresholds=limits)
    calm = step(calm, P, now=now + 1001, thresholds=limits)
    assert calm.state is State.HEALTHY
    assert step(calm, R, now=now + 1002, thresholds=limits).out_until == now + 1002


def test_while_it_is_out_good_news_counts_nothing_and_bad_news_still_does() -> None:
    """Passed checks do not shorten the time; a drain ends it."""
    out = Health(state=State.SUSPECT, since=0.0, reason="", failing=True, streak=1, out_until=10.0)

    assert step(out, P, now=9.0, thresholds=LIMITS) is out
    assert step(out, F, now=9.0, thresholds=LIMITS).state is State.DEAD
    assert step(out, D, now=9.0, thresholds=LIMITS).state is State.DRAINING
    assert step(out, P, now=10.0, thresholds=LIMITS).streak == 1


def test_a_refusal_is_remembered_as_a_fact() -> None:
    """Whether the last word was a refused connection tells a judgement from a fact."""
    assert after(P, R).refused
    assert not after(P, R, F).refused
    assert not after(P, F, F).refused
