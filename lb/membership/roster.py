"""Who is a member by heartbeat, and who is silent: looks at Redis come in, decisions go out. Pure.

Heartbeats say who exists and who drains; checks say who is healthy. A node whose beat is late is silent at each such
look, and is removed once none came for `gone_s`; one that took itself out is removed at once. While nobody beats,
nothing changes: an empty, restarted or unreachable Redis is not the death of all nodes ("hold").
"""

from collections.abc import Iterable

import msgspec

from ..placement.health import Member


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """One look: entries by id (None = gone or unreadable), whose beats are late, and how many are in time.

    `whole` says that `changed` has all entries there are, and `mute` those that have no beat at all.
    """

    changed: dict[str, Member | None]
    late: frozenset[str]
    fresh: int
    whole: bool = False
    mute: frozenset[str] = frozenset()


class Roster:
    """The members by heartbeat; `kept` are those of a snapshot."""

    def __init__(self, kept: Iterable[Member], *, now: float, gone_s: float) -> None:
        self._gone_s = gone_s
        self._entries = {member.id: member for member in kept}
        self._seen = dict.fromkeys(self._entries, now)
        self._written: set[str] = set()
        self._mute: frozenset[str] = frozenset()
        self.silent: frozenset[str] = frozenset()

    def hear(self, look: Look, now: float) -> None:
        """Take one look in."""
        if look.fresh <= 0:
            self.silent = frozenset()
            return
        if look.whole:
            self._written.clear()
            self._mute = look.mute
        for name, member in look.changed.items():
            if member is not None:
                self._entries[name] = member
                self._written.add(name)
            elif not look.whole:
                self._written.discard(name)
                self._seen.pop(name, None)
        late = look.late | (self._mute - look.changed.keys() if not look.whole else self._mute)
        for name in self._written - late:
            self._seen[name] = now
        for name in [name for name, seen in self._seen.items() if now - seen >= self._gone_s]:
            del self._seen[name]
        for name in self._entries.keys() - self._seen.keys() - self._written:
            del self._entries[name]
        self.silent = late & self._seen.keys()

    def members(self) -> list[Member]:
        """Those that were heard lately, by id."""
        return [self._entries[name] for name in sorted(self._seen)]
