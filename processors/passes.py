"""The sweeper's schedule: which class of moments is due for its next step. Pure.

Moments of about the same age are swept together, because a listing of many moments costs little more than one of a
single moment: these are the *age classes*. A pass visits all spreads of a class, in steps that are divided evenly over
the time until the next pass. A cursor holds the progress of a pass. The older the moments, the longer the time between
two passes. Sweeping a moment ends when it can get no more posts and its tombstones are removed.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from storage import keys
from storage.records import OPEN_MS, Moment, to_ms

# In the hour after that, the sweeper removes tombstones.
SWEPT_MS = OPEN_MS + 3600 * 1000
# An old moment gets only dozens of late posts: a pass every five minutes is enough, and its 512 listings cost little.
REST_MAX_S = 300.0


# Factor by which the time between two passes grows from one age class to the next.
CLASS_FACTOR: Final = 4
# After a step without work the sweeper rests this many times as long as the step took, so that sweeping uses at most
# half a core, for any number of posts and any cost of a listing.
IDLE_RESTS: Final = 1


class Cursor(msgspec.Struct, frozen=True):
    """The progress of a pass: spreads done, start in unix seconds, generations of recounts by moment and shard."""

    done: Annotated[int, Meta(ge=0, le=len(keys.SPREADS))]
    begun_s: float
    generations: dict[str, dict[str, str]] = {}


def parse_cursor(raw: bytes | None) -> Cursor | None:
    """Decode a cursor from Redis; None when it is missing or malformed."""
    try:
        return msgspec.json.decode(raw or b"", type=Cursor)
    except (ValueError, RecursionError):
        return None


def rest_s(age_s: float, every_s: float) -> float:
    """The most seconds between two visits to a spread: a twentieth of the age, between `every_s` and five minutes."""
    return max(every_s, min(age_s / 20, REST_MAX_S))


def pass_s(age_class: int, every_s: float) -> float:
    """Seconds of a pass over an age class."""
    return float(every_s * CLASS_FACTOR**age_class)


def class_of(age_s: float, every_s: float) -> int:
    """The age class of a moment: the oldest class that visits it often enough.

    When a moment changes its class, the passes of both lie between two visits: their sum must not exceed the rest.
    """
    found = 0
    while pass_s(found, every_s) + pass_s(found + 1, every_s) <= rest_s(age_s, every_s):
        found += 1
    return found


def classes(moments: Iterable[Moment], every_s: float, now_s: float) -> dict[str, list[str]]:
    """The ids of the moments that are swept, by age class; a class is named by its number."""
    found: dict[str, list[str]] = {}
    for moment in moments:
        age_s = now_s - to_ms(moment.fires_at) / 1000
        if 0 <= age_s <= SWEPT_MS / 1000:
            found.setdefault(str(class_of(age_s, every_s)), []).append(moment.id)
    return found


def due_s(name: str, cursor: Cursor | None, every_s: float, now_s: float) -> float:
    """When the next step of an age class is due, in unix seconds; 0 (at once) without a usable cursor."""
    # A cursor that begins in the future is from before the clock was set back.
    if cursor is None or cursor.begun_s > now_s:
        return 0.0
    return cursor.begun_s + pass_s(int(name), every_s) * cursor.done / len(keys.SPREADS)


def pause_s(took_s: float, *, found_work: bool) -> float:
    """Seconds to wait after a step that took `took_s`; 0 when the step found work."""
    return 0.0 if found_work else IDLE_RESTS * took_s


def next_due(
    swept: Mapping[str, Sequence[str]], cursors: Mapping[str, Cursor], now_s: float, every_s: float
) -> str | None:
    """The name of the age class whose next step is the most overdue; None when no step is due."""
    found = [(due_s(name, cursors.get(name), every_s, now_s), name) for name in swept]
    return min(((due, name) for due, name in found if due <= now_s), default=(0.0, None))[1]
