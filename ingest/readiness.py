"""Whether a node is ready to serve, and if not, why: store, clock, disk. Pure: observations come in with their times.

Redis is not a reason: the node answers uploads without it.
"""

from collections import deque
from typing import Final, Literal

SILENT_S: Final = 4.0  # without a successful commit or probe of the store
COMMITS_FAILED: Final = 3  # in a row: a single failure may be a connection that the store closed
REST_S: Final = 5.0  # after the last failed commit the others are forgotten: new uploads are the test then
# Stores refuse signatures that are 15 min off, and tokens begin and end to the second; a health check is answered
# within a second.
AHEAD_S_MAX: Final = 60.0
COMPARED_S: Final = 5.0  # two checks of a balancer that checks every 2 s
SOURCES_MAX: Final = 16
REDIS: Final = "Redis"
_MIB: Final = 1024 * 1024

Cause = Literal["store", "clock", "disk"]


class Readiness:
    """Recent observations; `room_bytes` is the maximum size of an upload. Times in seconds of a monotonic clock."""

    def __init__(self, now: float, *, room_bytes: int) -> None:
        self._room_bytes = room_bytes
        self._answered_at = now
        self._failed_at = 0.0
        self._failed = 0
        self._free_bytes: int | None = None
        self._compared: dict[str, deque[tuple[float, float]]] = {}

    def answered(self, now: float) -> None:
        """Record that the store answered the probe."""
        self._answered_at = now

    def committed(self, now: float) -> None:
        """Record that the store took a commit."""
        self._answered_at, self._failed = now, 0

    def failed(self, now: float) -> None:
        """Record that a commit failed in the store."""
        self._failed = 1 if now - self._failed_at > REST_S else self._failed + 1
        self._failed_at = now

    def free(self, size: int) -> None:
        """Record the free bytes in the store's folder."""
        self._free_bytes = size

    def compared(self, source: str, ahead_s: float, now: float) -> None:
        """Record how far the node's clock is ahead of this source's clock; below 0 it is behind."""
        if source not in self._compared and len(self._compared) >= SOURCES_MAX:
            del self._compared[min(self._compared, key=lambda name: self._compared[name][-1][0])]
        compared = self._compared.setdefault(source, deque(maxlen=16))
        compared.append((now, ahead_s))

    def reasons(self, now: float) -> dict[Cause, str]:
        """Why the node is not ready, as text by cause; empty when it is ready."""
        found: dict[Cause, str] = {}
        silent_s = now - self._answered_at
        if silent_s >= SILENT_S:
            found["store"] = f"no answer for {silent_s:.0f} s"
        elif self._failed >= COMMITS_FAILED and now - self._failed_at < REST_S:
            found["store"] = f"the last {self._failed} commits failed"
        if clock := self._clock(now):
            found["clock"] = clock
        # Known only if the store is a folder.
        if self._free_bytes is not None and self._free_bytes < self._room_bytes:
            free, room = self._free_bytes / _MIB, self._room_bytes / _MIB
            found["disk"] = f"{free:.1f} MiB are free, an upload may take {room:.1f} MiB"
        return found

    def _clock(self, now: float) -> str:
        said: dict[str, float] = {}
        for source, compared in self._compared.items():
            recent = [ahead_s for at, ahead_s in compared if now - at <= COMPARED_S]
            if recent:
                # A delayed timestamp makes the node's clock look fast, never slow, and a process that was suspended
                # reads old ones; so the smallest deviation counts.
                said[source] = min(recent, key=abs)
        off = {source: ahead_s for source, ahead_s in said.items() if abs(ahead_s) > AHEAD_S_MAX}
        # Balancers (in their health checks) and Redis tell the time. Wrong is what more sources contradict than
        # confirm. One source alone is enough: if that source is wrong itself, it contradicts all nodes, and a balancer
        # that finds no node ready uses all of them.
        if 2 * len(off) <= len(said):
            return ""
        ahead_s = min(off.values(), key=abs)
        known = (["the balancers"] if off.keys() - {REDIS} else []) + ([REDIS] if REDIS in off else [])
        return f"{abs(ahead_s):,.0f} s {'ahead of' if ahead_s > 0 else 'behind'} {' and '.join(known)}"


def told(reasons: dict[Cause, str]) -> str:
    """The reasons as one line of text."""
    return "; ".join(f"{cause}: {text}" for cause, text in reasons.items())
