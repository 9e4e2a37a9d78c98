"""Whether a node can do its job now, and if not, why: store, clock, disk. Pure: what was seen and when comes in.

- *Store.* A good answer to a commit or to the watch's probe counts. None for `SILENT_S`, or several commits in a row
  that failed, and the node is not ready. Failed commits are forgotten after `REST_S` without one: then users find out.
- *Clock.* Balancers (in the requests of their checks) and Redis say what time it is. The node is off when more of them
  say so than say that it is right. A single one that says so is enough: if that one is wrong itself, it says so to all
  nodes, and a balancer that finds all nodes not ready uses them all the same. A stamp that waited on its way makes a
  clock look fast, never slow, and a stopped process reads old ones: of each source's last stamps the kindest counts.
- *Disk*, of a store that is a folder: room for one upload.

Redis being away is no reason: uploads are answered without it.
"""

from collections import deque
from typing import Final, Literal

SILENT_S: Final = 4.0
COMMITS_FAILED: Final = 3  # in a row: one may be a connection that the store closed
REST_S: Final = 5.0
# Stores refuse signatures that are 15 min off, tokens begin and end to the second; a check is answered within one.
AHEAD_S_MAX: Final = 60.0
STAMPS_S: Final = 5.0  # two checks of a balancer that checks every 2 s
SOURCES_MAX: Final = 16
REDIS: Final = "Redis"
_MIB: Final = 1024 * 1024

Cause = Literal["store", "clock", "disk"]


class Readiness:
    """What was seen lately; `room_bytes` is what one upload may take. Times in seconds on any steady clock."""

    def __init__(self, now: float, *, room_bytes: int) -> None:
        self._room_bytes = room_bytes
        self._answered_at = now
        self._failed_at = 0.0
        self._failed = 0
        self._free_bytes: int | None = None
        self._stamps: dict[str, deque[tuple[float, float]]] = {}

    def answered(self, now: float) -> None:
        """The store answered the probe."""
        self._answered_at = now

    def committed(self, now: float) -> None:
        """The store took a commit."""
        self._answered_at, self._failed = now, 0

    def failed(self, now: float) -> None:
        """The store failed in a commit."""
        self._failed = 1 if now - self._failed_at > REST_S else self._failed + 1
        self._failed_at = now

    def free(self, size: int) -> None:
        """So many bytes are free in the store's folder."""
        self._free_bytes = size

    def stamped(self, source: str, ahead_s: float, now: float) -> None:
        """By this source's clock the node's is so far ahead; below 0 it is behind."""
        if source not in self._stamps and len(self._stamps) >= SOURCES_MAX:
            del self._stamps[min(self._stamps, key=lambda name: self._stamps[name][-1][0])]
        stamps = self._stamps.setdefault(source, deque(maxlen=16))
        stamps.append((now, ahead_s))

    def reasons(self, now: float) -> dict[Cause, str]:
        """What the node cannot do, for people, by its cause; empty when it is ready."""
        found: dict[Cause, str] = {}
        silent_s = now - self._answered_at
        if silent_s >= SILENT_S:
            found["store"] = f"no answer for {silent_s:.0f} s"
        elif self._failed >= COMMITS_FAILED and now - self._failed_at < REST_S:
            found["store"] = f"the last {self._failed} commits failed"
        if clock := self._clock(now):
            found["clock"] = clock
        if self._free_bytes is not None and self._free_bytes < self._room_bytes:
            free, room = self._free_bytes / _MIB, self._room_bytes / _MIB
            found["disk"] = f"{free:.1f} MiB are free, an upload may take {room:.1f}"
        return found

    def _clock(self, now: float) -> str:
        said: dict[str, float] = {}
        for source, stamps in self._stamps.items():
            recent = [ahead_s for at, ahead_s in stamps if now - at <= STAMPS_S]
            if recent:
                said[source] = min(recent, key=abs)
        off = {source: ahead_s for source, ahead_s in said.items() if abs(ahead_s) > AHEAD_S_MAX}
        if 2 * len(off) <= len(said):
            return ""
        ahead_s = min(off.values(), key=abs)
        known = (["the balancers"] if off.keys() - {REDIS} else []) + ([REDIS] if REDIS in off else [])
        return f"{abs(ahead_s):,.0f} s {'ahead of' if ahead_s > 0 else 'behind'} {' and '.join(known)}"


def told(reasons: dict[Cause, str]) -> str:
    """The reasons on one line."""
    return "; ".join(f"{cause}: {text}" for cause, text in reasons.items())
