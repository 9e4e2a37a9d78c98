"""Which endpoint of a store gets a request: the least busy one that is up; if none is, one that may still work."""

from collections.abc import Collection, Sequence
from typing import Final

from . import hidden
from .endpoint import Endpoint, State

_SERVES: Final = (State.UP,)
# What an endpoint must be at least for a change of what only tests the store, and for a read.
_TRIAL: Final = (State.UP, State.APART)
_READ: Final = (State.UP, State.APART, State.READS)


def chosen(
    endpoints: Sequence[Endpoint], *, writes: bool, trial: bool, tried: Collection[Endpoint] = ()
) -> Endpoint | None:
    """The endpoint for a request; of those that were tried only if no other one can do it.

    None: the store takes no change, or no endpoint is fit. `trial`: a change of what only tests the store, which needs
    no agreement. Reads go to those that agree first: what another one says may be of another store.
    """
    if writes and not trial and too_few(endpoints):
        return None
    best = _least(endpoints, _SERVES, tried)
    if best is None:
        fit = _READ if not writes else _TRIAL if trial else _SERVES
        best = _least(endpoints, fit, tried) or _any(endpoints, fit, writes=writes)
    return best


def hides(endpoints: Sequence[Endpoint]) -> bool:
    """Whether the endpoints are members of a MinIO which may not show what others have (`hidden.py`)."""
    if len(endpoints) == 1:
        return False
    quorum = max(one.write_quorum for one in endpoints)
    return quorum > 0 and (len(endpoints), quorum) not in hidden.SAFE


def too_few(endpoints: Sequence[Endpoint]) -> bool:
    """Whether more than a third of such members are away, so that what is hidden could not be seen."""
    away = sum(one.state is not State.UP for one in endpoints)
    return away > max(1, len(endpoints) // 3) and any(one.state is State.UP for one in endpoints) and hides(endpoints)


def _least(endpoints: Sequence[Endpoint], fit: Collection[State], tried: Collection[Endpoint]) -> Endpoint | None:
    best: Endpoint | None = None
    for one in endpoints:
        if one.state not in fit or one in tried:
            continue
        if best is None or one.busy < best.busy or (one.busy == best.busy and one.used < best.used):
            best = one
    return best


def _any(endpoints: Sequence[Endpoint], fit: Collection[State], *, writes: bool) -> Endpoint | None:
    """One that was tried, or one that is down, as the check may err; for a change one that agreed, or the only one."""
    found = [one for one in endpoints if one.state in fit]
    if not found:
        found = [one for one in endpoints if one.state is not State.UNFIT]
        if writes:
            alone = len(endpoints) == 1
            found = [one for one in found if one.agrees or (alone and one.state is not State.READS)]
    return min(found, key=lambda one: (one.busy, one.used), default=None)


def others(endpoints: Sequence[Endpoint], tried: Collection[Endpoint]) -> bool:
    """Whether there are endpoints that serve, or that may see what these do not, and were not tried."""
    return any(one.state in _TRIAL and one not in tried for one in endpoints)
