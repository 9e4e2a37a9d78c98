"""A node's health as a table of transitions: state, event and time in, a new value out. Pure.

joining: new or returning, not yet checked often enough · healthy: takes its keys · suspect: failed once, gets no new
keys while others are healthy · dead: failed `fall` times in a row or refused a connection · draining: announced that it
leaves. A pair of state and event that is not in the table changes nothing.

A refused connection counts at once, because nobody listens; a timeout, a broken connection or a missed heartbeat may be
a short fault and makes a node suspect first. A flapping node stays out longer each time (`Damping`).
"""

from enum import Enum, auto

import msgspec


class State(Enum):
    """The state of a node; the value is the word that operators see."""

    JOINING = "joining"
    HEALTHY = "healthy"
    SUSPECT = "suspect"
    DEAD = "dead"
    DRAINING = "draining"


class Event(Enum):
    """What happens to a node."""

    PASSED = auto()  # An active check was answered.
    FAILED = auto()  # An active check got no answer, or a server error.
    REFUSED = auto()  # A connection was refused or unreachable.
    TIMED_OUT = auto()  # A connection for a request was not made in time.
    RESET = auto()  # A connection ended in the middle of a request.
    FAULTY = auto()  # Several users got 5xx answers within a short time.
    SILENT = auto()  # A heartbeat was missed.
    RESTED = auto()  # Without active checks: ejected long enough for another chance.
    DRAIN = auto()  # The node or an operator announced draining.
    SERVE = auto()  # The node or an operator announced serving.


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """State, consecutive events of one kind (`streak`), why and since when, and how often it was ejected.

    `refused`: the last event was a refused connection. `wobble`: the number of ejections as of `ejected_at`, where each
    counts half after a half-life. Before `out_until` no passed check brings an ejected node back.
    """

    state: State
    since: float
    reason: str
    streak: int = 0
    failing: bool = False
    ejections: int = 0
    refused: bool = False
    wobble: float = 0.0
    ejected_at: float = 0.0
    out_until: float = 0.0

    @property
    def flapping(self) -> bool:
        """Whether this ejection follows another: then passed checks prove little, and the node comes back slowly."""
        return self.out_until > self.since


class Damping(msgspec.Struct, frozen=True):
    """How long a flapping node stays out: `base_s`, doubled for each recent ejection after the first, up to `max_s`."""

    base_s: float = 1.0
    max_s: float = 60.0
    half_life_s: float = 60.0


class Thresholds(msgspec.Struct, frozen=True):
    """Checks in a row that make a node healthy again (`rise`) or dead (`fall`), and the damping of flapping."""

    rise: int = 2
    fall: int = 2
    damping: Damping = Damping()


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
    (_J, Event.RESET): Step(_J, _D, "fall"),
    (_J, Event.DRAIN): Step(_L, _L),
    (_H, Event.PASSED): Step(_H, _H),
    (_H, Event.FAILED): Step(_S, _D, "fall"),
    (_H, Event.REFUSED): Step(_D, _D),
    (_H, Event.TIMED_OUT): Step(_S, _D, "fall"),
    (_H, Event.RESET): Step(_S, _D, "fall"),
    (_H, Event.SILENT): Step(_S, _D, "fall"),
    (_H, Event.FAULTY): Step(_S, _S),
    (_H, Event.DRAIN): Step(_L, _L),
    (_S, Event.PASSED): Step(_S, _H, "rise"),
    (_S, Event.FAILED): Step(_S, _D, "fall"),
    (_S, Event.REFUSED): Step(_D, _D),
    (_S, Event.TIMED_OUT): Step(_S, _D, "fall"),
    (_S, Event.RESET): Step(_S, _D, "fall"),
    (_S, Event.SILENT): Step(_S, _D, "fall"),
    (_S, Event.RESTED): Step(_H, _H),
    (_S, Event.DRAIN): Step(_L, _L),
    (_D, Event.PASSED): Step(_J, _H, "rise"),
    (_D, Event.FAILED): Step(_D, _D),
    (_D, Event.REFUSED): Step(_D, _D),
    (_D, Event.RESTED): Step(_H, _H),
    (_D, Event.DRAIN): Step(_L, _L),
    (_L, Event.DRAIN): Step(_L, _L),
    (_L, Event.SERVE): Step(_J, _J),
}
_FAILURES = set(Event) - {Event.PASSED, Event.RESTED, Event.DRAIN, Event.SERVE}
_EJECTED = {State.SUSPECT, State.DEAD}


def newcomer(*, now: float, checked: bool, thresholds: Thresholds) -> Health:
    """The health of a new node: one passed check makes it healthy; without active checks it is so at once."""
    if not checked:
        return Health(state=State.HEALTHY, since=now, reason="not checked")
    return Health(state=State.JOINING, since=now, reason="new", streak=thresholds.rise - 1)


def step(health: Health, event: Event, *, now: float, thresholds: Thresholds, reason: str = "") -> Health:
    """The health after the event; `reason` is shown to operators.

    The reason is kept while the state stays, except that of a drain: an operator may drain a node that drains itself.
    """
    row = TABLE.get((health.state, event))
    failing = event in _FAILURES
    # A flapping node stays out for its time, whatever its checks say; draining is its own decision.
    early = not failing and health.state in _EJECTED and now < health.out_until
    if row is None or (early and event is not Event.DRAIN):
        return health
    streak = health.streak + 1 if failing == health.failing else 1
    needed = {"rise": thresholds.rise, "fall": thresholds.fall}.get(row.threshold, 1)
    state = row.then if streak >= needed else row.now
    moved = state is not health.state
    after = msgspec.structs.replace(
        health,
        state=state,
        since=now if moved else health.since,
        reason=(reason or event.name.lower().replace("_", " ")) if moved or event is Event.DRAIN else health.reason,
        streak=streak,
        failing=failing,
        refused=event is Event.REFUSED,
    )
    ejected = health.state is State.HEALTHY and state in _EJECTED
    return _damped(after, now, thresholds.damping) if ejected else after


def _damped(health: Health, now: float, damping: Damping) -> Health:
    """The health after one more ejection, with the time until which it keeps the node out."""
    wobble = health.wobble * 0.5 ** ((now - health.ejected_at) / damping.half_life_s) + 1
    out_s = min(damping.max_s, damping.base_s * 2 ** (wobble - 1)) if wobble > 1.5 else 0.0
    return msgspec.structs.replace(
        health, ejections=health.ejections + 1, wobble=wobble, ejected_at=now, out_until=now + out_s
    )
