"""`ingest/admission.py` over arrays: the same decisions for a user who has one upload at a time.

`tests/unit/bench/simulation/test_admitting.py` sends the same burst through both and compares every decision, every
victim and every sum. Names are those of `Admission`. Victims are added to `w.victims`.
"""

import math
from typing import Final

import numpy as np

from ingest.admission import LAGGARD_S, READ_BYTES_MIN, REVIEW_S, Rank

from . import rules
from .rules import compiled, wide
from .world import NOBODY, VICTIMS, World

# `Admission` keeps its uploads as objects, which cannot be compiled; so its lists and sums are written again here, on
# the compiled rules of `places.py` and `commits.py`. A user's own share is left out: nobody has two uploads.
_RANKS: Final = tuple(Rank)
HOLDER, FIRST, LATE, LAGGARD = range(len(_RANKS))
PERCENT: Final = np.array([rank.value[0] for rank in _RANKS])
WAIT_S: Final = np.array([rank.value[1] for rank in _RANKS])


@compiled
def fits(w: World, n: int, requests: int, size: int, percent: int) -> bool:
    """Whether so many uploads and bytes are within a part of the budget."""
    desk = w.nodes[n]
    return bool(requests * 100 <= desk.requests_max * percent and size * 100 <= desk.bytes_max * percent)


@compiled
def account(w: World, n: int, i: int, held: int, slow: bool) -> None:  # noqa: FBT001 - as in the module
    """Keep the sums correct while a place changes."""
    desk, place = w.nodes[n], w.users[i]
    if place.slow:
        desk.slow -= 1
        desk.slow_bytes -= place.charged
    desk.held += held - place.held
    place.held = held
    place.slow = slow
    charged = 0 if place.gone else rules.place_charge(place, w.usual[n, 1].value)
    desk.bytes += charged - place.charged
    place.charged = charged
    if slow:
        desk.slow += 1
        desk.slow_bytes += charged


@compiled
def unlink(w: World, n: int, i: int) -> None:
    """Remove an upload from the list of those that are coming."""
    users, desk = w.users, w.nodes[n]
    before, after = wide(users[i].coming_last), wide(users[i].coming_next)
    if before == NOBODY:
        desk.first = after
    else:
        users[before].coming_next = after
    if after == NOBODY:
        desk.last = before
    else:
        users[after].coming_last = before
    users[i].coming_next = users[i].coming_last = NOBODY


@compiled
def release(w: World, n: int, i: int) -> None:
    """An admitted upload has ended, for any reason."""
    place = w.users[i]
    if place.gone:
        return
    whole = place.whole
    place.gone = True
    account(w, n, i, 0, False)
    w.nodes[n].requests -= 1
    w.nodes[n].announced -= place.length
    if not whole:
        unlink(w, n, i)


@compiled
def shed(w: World, n: int, i: int, now: float) -> None:
    """Release the place and add it to the victims; the user of a slow upload becomes a laggard."""
    users = w.users
    if users[i].slow:
        users[i].laggard_until = now + LAGGARD_S
        users[i].laggard_node = n
    release(w, n, i)
    w.victims[w.counts[VICTIMS]] = i
    w.counts[VICTIMS] += 1


@compiled
def arrived(w: World, n: int, i: int, count: int) -> None:
    """So many more bytes of the upload are in memory."""
    place = w.users[i]
    place.received += count
    account(w, n, i, wide(max(place.held, place.received)), bool(place.slow))


@compiled
def caught_up(w: World, i: int, now: float) -> int:
    """The bytes of an upload that came since the last look, at the pace of its phone; 0 for one without a pace."""
    place, send_s = w.users[i], w.users[i].send_s
    if send_s <= 0:
        return 0
    part = min(1.0, (now - place.since) / send_s)
    return int(max(0, min(place.length - 1, int(place.length * part)) - place.received))


@compiled
def review(w: World, n: int, now: float) -> None:
    """Find out which uploads are slow, and how long each has left."""
    users, desk = w.users, w.nodes[n]
    if now - desk.reviewed_at < REVIEW_S:
        return
    desk.reviewed_at = now
    i = wide(desk.first)
    while i != NOBODY:
        came = caught_up(w, i, now)
        if came:
            arrived(w, n, i, came)
        users[i].left = rules.place_left_s(users[i], now, w.usual[n, 1].value)
        users[i].queued = 1
        i = wide(users[i].coming_next)
    i = wide(desk.first)
    while i != NOBODY:
        place = users[i]
        slow = rules.place_is_slow(place, now, users[i].left, w.usual[n, 0].value)
        account(w, n, i, wide(place.held), bool(slow))
        users[i].queued = 2 if slow else 1
        i = wide(users[i].coming_next)


@compiled
def worst(w: World, n: int, now: float, slow_only: bool) -> int:  # noqa: FBT001 - as in the module
    """The unfinished upload to shed first: slow ones before others, then the longest time left; NOBODY if none."""
    users, desk = w.users, w.nodes[n]
    for _ in range(2):
        found, i = NOBODY, desk.first
        while i != NOBODY:
            if users[i].queued and (
                found == NOBODY
                or users[i].queued > users[found].queued
                or (users[i].queued == users[found].queued and users[i].left >= users[found].left)
            ):
                found = i
            i = wide(users[i].coming_next)
        if found != NOBODY:
            if slow_only and not users[found].slow:
                return NOBODY
            users[found].queued = 0
            return int(found)
        if slow_only:
            return NOBODY
        desk.reviewed_at = -math.inf
        review(w, n, now)
    return NOBODY


@compiled
def make_room(w: World, n: int, i: int, percent: int, now: float) -> bool:
    """Shed slow uploads for a new one, if that is enough; whether there is room."""
    desk, place = w.nodes[n], w.users[i]
    size = rules.place_charge(place, w.usual[n, 1].value)
    if not desk.requests:
        percent = 100
    if fits(w, n, desk.requests + 1, desk.bytes + size, percent):
        return True
    review(w, n, now)
    if not place.slow and fits(w, n, desk.requests - desk.slow + 1, desk.bytes - desk.slow_bytes + size, percent):
        while not fits(w, n, desk.requests + 1, desk.bytes + size, percent):
            victim = worst(w, n, now, True)
            if victim == NOBODY:
                break
            shed(w, n, victim, now)
    return fits(w, n, desk.requests + 1, desk.bytes + size, percent)


@compiled
def admit(w: World, n: int, i: int, rank: int, now: float) -> bool:
    """Whether the node admits the user's upload; other uploads may be shed for it."""
    users, desk, commits = w.users, w.nodes[n], w.nodes[n]
    if rules.commits_stalled(commits, now):
        rules.commits_refused(commits, False)
        return False
    place = users[i]
    place.since, place.length, place.received, place.held, place.charged = now, users[i].bytes, 0, 0, 0
    place.announced, place.whole, place.gone = True, False, False
    place.slow = users[i].laggard_node == n and users[i].laggard_until > now
    rank = LAGGARD if place.slow else rank
    bounded = False
    if make_room(w, n, i, PERCENT[rank], now):
        bounded = desk.requests - desk.slow >= rules.commits_in_flight_max(commits, WAIT_S[rank])
        if bounded:
            review(w, n, now)
            bounded = desk.requests - desk.slow >= rules.commits_in_flight_max(commits, WAIT_S[rank])
        if not bounded:
            enter(w, n, i)
            return True
    place.gone = True
    rules.commits_refused(commits, bounded)
    return False


@compiled
def enter(w: World, n: int, i: int) -> None:
    """Put the upload behind the others that are coming."""
    users, desk = w.users, w.nodes[n]
    desk.requests += 1
    desk.announced += users[i].length
    users[i].coming_last, users[i].coming_next, users[i].queued = desk.last, NOBODY, 0
    if desk.last == NOBODY:
        desk.first = i
    else:
        users[desk.last].coming_next = i
    desk.last = i
    slow = users[i].slow
    users[i].slow = False
    account(w, n, i, 0, bool(slow))


@compiled
def room(w: World, n: int, i: int, wanted: int, now: float) -> int:
    """How many bytes may be read for a place now; others, or the place itself, are shed where memory is short."""
    desk, place = w.nodes[n], w.users[i]
    if place.gone:
        return 0
    beyond = wanted - (place.held - place.received)
    if desk.bytes_max - desk.held >= beyond:
        return wanted
    least = min(beyond, READ_BYTES_MIN)
    while desk.bytes_max - desk.held < least:
        victim = worst(w, n, now, False)
        if victim == NOBODY:
            break
        shed(w, n, victim, now)
        if victim == i:
            return 0
    free = desk.bytes_max - desk.held
    if free <= 0 and beyond == wanted:
        shed(w, n, i, now)
        return 0
    return int(min(wanted, free + wanted - beyond))


@compiled
def whole(w: World, n: int, i: int, now: float) -> None:
    """The upload was received completely."""
    place = w.users[i]
    seconds = now - place.since
    slow = seconds > rules.slow_s(w.usual[n, 0].value)
    place.whole = True
    unlink(w, n, i)
    account(w, n, i, wide(place.held), False)
    rules.usual_told(w.usual[n, 0], seconds)
    rules.usual_told(w.usual[n, 1], float(place.received))
    if not slow:
        rules.commits_received(w.nodes[n], seconds)
        if w.users[i].laggard_node == n:
            w.users[i].laggard_until = -math.inf
