"""When the sweeper goes on with which moment: passes over all its spreads, each spread over the time until the next.

Pure. A pass is a cursor: how many spreads are done, when it began. A moment rests between two passes, the longer the
older it is, and is swept for as long as anything can come to it or is left of it.
"""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from storage import keys
from storage.records import ACCEPTING_MS, Moment, to_ms

# What was received in the last second of the accepting period may be committed a day later: as long we let a phone come
# back with the ticket of an outage of ours. An hour more for slow uploads, then nothing can come any more.
OPEN_MS = 2 * ACCEPTING_MS + 3600 * 1000
# In the hour after that, tombstones are removed.
SWEPT_MS = OPEN_MS + 3600 * 1000
# An old moment gets its late posts by the dozen: five minutes is soon enough, and 512 listings each cost little then.
REST_MAX_S = 300.0


# After a step that found nothing to do, the sweeper rests as many times as long as that step took: half a core
# at most, however many moments are young and whatever a listing costs.
IDLE_RESTS: Final = 1


class Cursor(msgspec.Struct, frozen=True):
    """How far a pass over a moment is: spreads done, unix seconds of its begin, the generation that it recounts."""

    done: int
    begun_s: float
    generation: str = ""


def parse_cursor(raw: bytes | None) -> Cursor | None:
    """A cursor as it stands in Redis; None for what cannot be read."""
    try:
        return msgspec.json.decode(raw or b"", type=Cursor)
    except (ValueError, RecursionError):
        return None


def rest_s(age_s: float, every_s: float) -> float:
    """How long a moment rests between two sweeps, by its age: a twentieth of it, between `every_s` and five minutes."""
    return max(every_s, min(age_s / 20, REST_MAX_S))


def due_s(age_s: float, cursor: Cursor | None, every_s: float, now_s: float) -> float:
    """When the next step of a moment's pass, or its next pass, is due; unix seconds, 0 where nothing is known.

    A pass that begins in the future was begun by a clock that has been set back since.
    """
    if cursor is None or cursor.begun_s > now_s:
        return 0.0
    return cursor.begun_s + rest_s(age_s, every_s) * cursor.done / len(keys.SPREADS)


def pause_s(took_s: float, *, found_work: bool) -> float:
    """How long to wait after a step that took so long: where there is work, the next step follows at once."""
    return 0.0 if found_work else IDLE_RESTS * took_s


def next_due(moments: Iterable[Moment], cursors: Mapping[str, Cursor], now_s: float, every_s: float) -> str | None:
    """The id of the moment whose next step is due the longest, of those that may get posts or did until just now."""
    found: list[tuple[float, str]] = []
    for moment in moments:
        age_s = now_s - to_ms(moment.fires_at) / 1000
        due = due_s(age_s, cursors.get(moment.id), every_s, now_s)
        if 0 <= age_s <= SWEPT_MS / 1000 and due <= now_s:
            found.append((due, moment.id))
    return min(found)[1] if found else None
