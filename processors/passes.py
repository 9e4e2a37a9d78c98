"""The sweeper's schedule: which moment is due for its next step. Pure.

A pass visits all spreads of a moment, in steps that are divided evenly over the time until the next pass. A cursor
holds the progress of a pass. The older a moment, the longer the time between two passes. Sweeping a moment ends when
it can get no more posts and its tombstones are removed.
"""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from storage import keys
from storage.records import ACCEPTING_MS, Moment, to_ms

# No post is committed to a moment later than this after it fires: the accepting period, plus a day for a phone that
# returns with a ticket from an outage of ours, plus an hour for slow uploads.
OPEN_MS = 2 * ACCEPTING_MS + 3600 * 1000
# In the hour after that, the sweeper removes tombstones.
SWEPT_MS = OPEN_MS + 3600 * 1000
# An old moment gets only dozens of late posts: a pass every five minutes is enough, and its 512 listings cost little.
REST_MAX_S = 300.0


# After a step without work the sweeper rests this many times as long as the step took, so that sweeping uses at most
# half a core, for any number of young moments and any cost of a listing.
IDLE_RESTS: Final = 1


class Cursor(msgspec.Struct, frozen=True):
    """The progress of a pass over a moment: spreads done, its start in unix seconds, the generation of its recount."""

    done: int
    begun_s: float
    generation: str = ""


def parse_cursor(raw: bytes | None) -> Cursor | None:
    """Decode a cursor from Redis; None when it is missing or malformed."""
    try:
        return msgspec.json.decode(raw or b"", type=Cursor)
    except (ValueError, RecursionError):
        return None


def rest_s(age_s: float, every_s: float) -> float:
    """Seconds between two passes: a twentieth of the moment's age, between `every_s` and five minutes."""
    return max(every_s, min(age_s / 20, REST_MAX_S))


def due_s(age_s: float, cursor: Cursor | None, every_s: float, now_s: float) -> float:
    """When a moment's next step is due, in unix seconds; 0 (at once) without a usable cursor."""
    # A cursor that begins in the future is from before the clock was set back.
    if cursor is None or cursor.begun_s > now_s:
        return 0.0
    return cursor.begun_s + rest_s(age_s, every_s) * cursor.done / len(keys.SPREADS)


def pause_s(took_s: float, *, found_work: bool) -> float:
    """Seconds to wait after a step that took `took_s`; 0 when the step found work."""
    return 0.0 if found_work else IDLE_RESTS * took_s


def next_due(moments: Iterable[Moment], cursors: Mapping[str, Cursor], now_s: float, every_s: float) -> str | None:
    """The id of the moment whose next step is the most overdue; None when no step is due."""
    found: list[tuple[float, str]] = []
    for moment in moments:
        age_s = now_s - to_ms(moment.fires_at) / 1000
        due = due_s(age_s, cursors.get(moment.id), every_s, now_s)
        if 0 <= age_s <= SWEPT_MS / 1000 and due <= now_s:
            found.append((due, moment.id))
    return min(found)[1] if found else None
