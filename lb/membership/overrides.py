"""An operator's changes at run time, over static members and heartbeats: nodes added, removed, drained, re-weighted.

Each call returns a new value, or raises `OverrideError` and changes nothing. A change stays in force until the operator
takes it back, whatever the node announces, and is saved beside the snapshot. Pure.
"""

from collections.abc import Mapping

import msgspec

from ..placement.node import Member
from ..placement.slots import MEMBERS_MAX, WEIGHT_MAX


class OverrideError(Exception):
    """An impossible change; `status` is its HTTP status, the text one line for the operator."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Overrides(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The changes in force."""

    added: dict[str, Member] = {}
    removed: frozenset[str] = frozenset()
    drained: frozenset[str] = frozenset()
    weights: dict[str, int] = {}

    def over(self, members: Mapping[str, Member]) -> dict[str, Member]:
        """The members by id, with the changes applied."""
        found: dict[str, Member] = {}
        for name, member in {**members, **self.added}.items():
            if name in self.removed:
                continue
            found[name] = msgspec.structs.replace(
                member,
                weight=self.weights.get(name, member.weight),
                state="drained" if name in self.drained else member.state,
            )
        return found

    def add(self, member: Member, members: Mapping[str, Member]) -> "Overrides":
        """Add a new node, or one that was removed."""
        present = self.over(members)
        if member.id in present:
            raise OverrideError(409, f"node {member.id} is a member at {present[member.id].address}; remove it first")
        if len(present) >= MEMBERS_MAX:
            raise OverrideError(409, f"there are {MEMBERS_MAX} nodes already")
        _check_weight(member.weight)
        return self._without(member.id, added={**self.added, member.id: member})

    def remove(self, name: str, members: Mapping[str, Member]) -> "Overrides":
        """Remove a node, even while it sends heartbeats; its requests finish."""
        present = self._present(name, members)
        if len(present) == 1:
            raise OverrideError(409, f"node {name} is the last one; add another first")
        rest = {key: member for key, member in self.added.items() if key != name}
        return self._without(name, added=rest, removed=self.removed | {name} if name in members else self.removed)

    def drain(self, name: str, members: Mapping[str, Member]) -> "Overrides":
        """Send this node no new requests."""
        self._present(name, members)
        return msgspec.structs.replace(self, drained=self.drained | {name})

    def undrain(self, name: str, members: Mapping[str, Member]) -> "Overrides":
        """Send this node new requests again."""
        self._present(name, members)
        if name in members and members[name].state == "draining":
            raise OverrideError(409, f"node {name} drains by its own decision, which undrain cannot change")
        if name not in self.drained:
            raise OverrideError(409, f"node {name} is not drained")
        return msgspec.structs.replace(self, drained=self.drained - {name})

    def weigh(self, name: str, weight: int, members: Mapping[str, Member]) -> "Overrides":
        """Give a node another weight; 0 means no new requests."""
        self._present(name, members)
        _check_weight(weight)
        return msgspec.structs.replace(self, weights={**self.weights, name: weight})

    def _present(self, name: str, members: Mapping[str, Member]) -> dict[str, Member]:
        present = self.over(members)
        if name not in present:
            raise OverrideError(404, f"no node {name}; GET /nodes lists them")
        return present

    def _without(self, name: str, *, added: dict[str, Member], removed: frozenset[str] | None = None) -> "Overrides":
        """The changes without earlier ones for this id: it was added or removed anew."""
        return Overrides(
            added=added,
            removed=self.removed - {name} if removed is None else removed,
            drained=self.drained - {name},
            weights={key: weight for key, weight in self.weights.items() if key != name},
        )


def _check_weight(weight: int) -> None:
    if not 0 <= weight <= WEIGHT_MAX:
        raise OverrideError(400, f"weight {weight} is not from 0 to {WEIGHT_MAX}")
