"""Which nodes are members by heartbeat, and which are silent: polls of Redis in, decisions out. Pure.

Heartbeats say which nodes exist and drain; checks say which are healthy. A node with a late heartbeat is silent, and is
removed when none arrived for `gone_s`, without outages of Redis; a node that removed its entry leaves at once. If all
heartbeats are late, the membership stays as it is: an empty, restarted or unreachable Redis does not mean that all
nodes are dead.
"""

from collections.abc import Iterable

import msgspec

from ..placement.node import Member


class Poll(msgspec.Struct, frozen=True, kw_only=True):
    """One poll: changed entries by id (None = gone or unreadable), late heartbeats, and how many are in time (`fresh`).

    `full`: `changed` has all entries; `beatless` names those without any heartbeat, `left` those that were removed
    since the last poll.
    """

    changed: dict[str, Member | None]
    late: frozenset[str]
    fresh: int
    full: bool = False
    beatless: frozenset[str] = frozenset()
    left: frozenset[str] = frozenset()


class Roster:
    """The members by heartbeat; `kept` are the members of a snapshot."""

    def __init__(self, kept: Iterable[Member], *, now: float, gone_s: float) -> None:
        self._gone_s = gone_s
        self._entries = {member.id: member for member in kept}
        self._seen = dict.fromkeys(self._entries, now)
        self._written: set[str] = set()
        self._beatless: frozenset[str] = frozenset()
        self._read_at = now  # the last poll that could tell
        self._outage = False
        self.silent: frozenset[str] = frozenset()

    def missed(self) -> None:
        """A poll failed, or all heartbeats were late: until the next one no heartbeat could be read."""
        self._outage = True
        self.silent = frozenset()

    def apply(self, poll: Poll, now: float) -> None:
        """Take the members and the silent nodes from one poll of the heartbeats; `now` is monotonic seconds."""
        # No heartbeat is in time: Redis was emptied or restarted, or its clock was set. Keep all members.
        if poll.fresh <= 0:
            self.missed()
            return
        if self._outage:
            # Nodes write again one after the other; none is gone because it is not the first.
            away_s, self._outage = now - self._read_at, False
            self._seen = {name: seen + away_s for name, seen in self._seen.items()}
        self._read_at = now
        if poll.full:
            self._written.clear()
            self._beatless = poll.beatless
        for name, member in poll.changed.items():
            if member is not None:
                self._entries[name] = member
                self._written.add(name)
            elif not poll.full or name in poll.left:
                self._written.discard(name)
                self._seen.pop(name, None)
        late = poll.late | (self._beatless - poll.changed.keys() if not poll.full else self._beatless)
        for name in self._written - late:
            self._seen[name] = now
        for name in [name for name, seen in self._seen.items() if now - seen >= self._gone_s]:
            del self._seen[name]
        for name in self._entries.keys() - self._seen.keys() - self._written:
            del self._entries[name]
        self.silent = late & self._seen.keys()

    def members(self) -> list[Member]:
        """The members, sorted by id."""
        return [self._entries[name] for name in sorted(self._seen)]
