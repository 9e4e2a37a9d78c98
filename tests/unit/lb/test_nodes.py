"""lb.nodes: the table of a node's health."""

import pytest

from lb.nodes import TABLE, Event, Health, State, Thresholds, newcomer, step

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
        ((P, D), State.DRAINING),
        ((P, D, P, F, R), State.DRAINING),
        ((P, R, Event.RESTED), State.HEALTHY),
        ((P, D, Event.SERVE), State.JOINING),
    ],
)
def test_events_lead_where_the_table_says(events: tuple[Event, ...], state: State) -> None:
    """Rise and fall are two; a refused connection counts at once."""
    assert after(*events).state is state


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
