"""A node's health as a table of transitions; events and the time come in, a new value goes out.

joining: new or coming back, not yet checked often enough · healthy: takes its keys · suspect: one failure, no new keys
while others are healthy · dead: failed `fall` checks or refused a connection · draining: says itself that it leaves.
A refused connection counts at once, because nobody listens there; a check or a connection that timed out may be a
hiccup and only makes suspect. A pair of state and event that is not in the table changes nothing.
"""

from enum import Enum, auto

import msgspec


class State(Enum):
    """What the balancer believes of a node; the value is the word shown to operators."""

    JOINING = "joining"
    HEALTHY = "healthy"
    SUSPECT = "suspect"
    DEAD = "dead"
    DRAINING = "draining"


class Event(Enum):
    """What can be learnt of a node."""

    PASSED = auto()  # An active check was answered.
    FAILED = auto()  # An active check was not, or badly.
    REFUSED = auto()  # A connection for a request was refused or unreachable.
    TIMED_OUT = auto()  # A connection for a request was not made in time.
    RESTED = auto()  # Without active checks: ejected long enough for another chance.
    DRAIN = auto()  # Its membership says draining.
    SERVE = auto()  # Its membership says serving.


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """A node as its membership describes it; `address` is host:port, `state` serving or draining."""

    id: str
    address: str
    weight: int = 1
    zone: str = ""
    state: str = "serving"


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """State, consecutive events of one kind (`streak`), why and since when, and how often it was ejected."""

    state: State
    since: float
    reason: str
    streak: int = 0
    failing: bool = False
    ejections: int = 0


class Thresholds(msgspec.Struct, frozen=True):
    """Checks in a row that make a node healthy again (`rise`) or dead (`fall`)."""

    rise: int = 2
    fall: int = 2


class Step(msgspec.Struct, frozen=True):
    """Go to `now`; once the streak has reached the threshold named, go to `then`."""

    now: State
    then: State
    threshold: str = ""


_J, _H, _S, _D, _L = State.JOINING, State.HEALTHY, State.SUSPECT, State.DEAD, State.DRAINING
TABLE: dict[tuple[State, Event], Step] = {
    (_J, Event.PASSED): Step(_J, _H, "rise"),
    (_J, Event.FAILED): Step(_J, _D, "fall"),
    (_J, Event.REFUSED): Step(_D, _D),
    (_J, Event.TIMED_OUT): Step(_D, _D),
    (_J, Event.DRAIN): Step(_L, _L),
    (_H, Event.PASSED): Step(_H, _H),
    (_H, Event.FAILED): Step(_S, _D, "fall"),
    (_H, Event.REFUSED): Step(_D, _D),
    (_H, Event.TIMED_OUT): Step(_S, _D, "fall"),
    (_H, Event.DRAIN): Step(_L, _L),
    (_S, Event.PASSED): Step(_S, _H, "rise"),
    (_S, Event.FAILED): Step(_S, _D, "fall"),
    (_S, Event.REFUSED): Step(_D, _D),
    (_S, Event.TIMED_OUT): Step(_S, _D, "fall"),
    (_S, Event.RESTED): Step(_H, _H),
    (_S, Event.DRAIN): Step(_L, _L),
    (_D, Event.PASSED): Step(_J, _H, "rise"),
    (_D, Event.FAILED): Step(_D, _D),
    (_D, Event.RESTED): Step(_H, _H),
    (_D, Event.DRAIN): Step(_L, _L),
    (_L, Event.SERVE): Step(_J, _J),
}
_FAILURES = {Event.FAILED, Event.REFUSED, Event.TIMED_OUT}


def newcomer(*, now: float, checked: bool, thresholds: Thresholds) -> Health:
    """A node just heard of: one passed check makes it healthy, for nothing bad is known of it; unchecked it is so."""
    if not checked:
        return Health(state=State.HEALTHY, since=now, reason="not checked")
    return Health(state=State.JOINING, since=now, reason="new", streak=thresholds.rise - 1)


def step(health: Health, event: Event, *, now: float, thresholds: Thresholds, reason: str = "") -> Health:
    """The health after the event; `reason` is said to operators, and kept while the state stays."""
    row = TABLE.get((health.state, event))
    if row is None:
        return health
    failing = event in _FAILURES
    streak = health.streak + 1 if failing == health.failing else 1
    needed = {"rise": thresholds.rise, "fall": thresholds.fall}.get(row.threshold, 1)
    state = row.then if streak >= needed else row.now
    moved = state is not health.state
    ejected = moved and health.state is State.HEALTHY and state is not State.DRAINING
    return Health(
        state=state,
        since=now if moved else health.since,
        reason=(reason or event.name.lower().replace("_", " ")) if moved else health.reason,
        streak=streak,
        failing=failing,
        ejections=health.ejections + ejected,
    )
