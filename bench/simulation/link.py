"""The way to a store that passes only so many bytes a second: all transfers on it share them equally.

A shared way passes one piece of each transfer in turn (`bench/throttle.py` does, and so do the queues of a network), so
of n transfers each gets an nth of the bytes: processor sharing.
"""

from .phones import schedule
from .rules import compiled, kept, wide
from .world import LINK, LINK_BYTES_S, PASSED, PASSING, TICK, TICK_S, World


@compiled
def limited(w: World) -> bool:
    """Whether the way to the store has a limit."""
    return bool(w.numbers[LINK_BYTES_S] > 0)


@compiled
def send(w: World, i: int, size: float, now: float, after: int) -> None:
    """The user's object goes over the link from now on; the event `after` follows when its last byte has passed."""
    users, counts, flows, rate = w.users, w.counts, w.flows, w.numbers[LINK_BYTES_S]
    users[i].kind = after
    # The link is followed from tick to tick: what begins within a tick shares it from the next one, but has it alone
    # while it is idle.
    if not counts[PASSING]:
        end = (counts[TICK] + 1) * w.numbers[TICK_S]
        began = min(max(now, flows[LINK]), end)
        passed = began + size / rate
        if passed <= end:
            flows[LINK] = passed
            schedule(w, i, passed, after)
            return
        size -= (end - began) * rate
        flows[LINK] = end
    # All progress alike, so a transfer has passed when the bytes that each one got (`flows[PASSED]`) reach this mark;
    # the heap is by the marks.
    users[i].at = flows[PASSED] + size
    at = wide(counts[PASSING])
    counts[PASSING] += 1
    while at and users[w.passing[(at - 1) // 2]].at > users[i].at:
        w.passing[at] = w.passing[(at - 1) // 2]
        at = (at - 1) // 2
    w.passing[at] = i


@compiled
def sift(w: World, root: int) -> None:
    """Restore the heap below this place."""
    users, passing, size = w.users, w.passing, wide(w.counts[PASSING])
    while True:
        child = 2 * root + 1
        if child >= size:
            return
        if child + 1 < size and users[passing[child + 1]].at < users[passing[child]].at:
            child += 1
        if users[passing[root]].at <= users[passing[child]].at:
            return
        passing[root], passing[child] = passing[child], passing[root]
        root = child


@compiled
def take_off(w: World, place: int) -> int:
    """Remove the transfer at this place of the heap; its user."""
    i = wide(w.passing[place])
    w.counts[PASSING] -= 1
    w.passing[place] = w.passing[w.counts[PASSING]]
    for root in range(place, -1, -1) if place else range(1):
        sift(w, root)
    return int(i)


@compiled
def pass_on(w: World, end: float) -> None:
    """Let the link pass bytes until then; the transfers that end have their events."""
    users, flows, rate = w.users, w.flows, w.numbers[LINK_BYTES_S]
    while w.counts[PASSING]:
        first, share = wide(w.passing[0]), rate / w.counts[PASSING]
        passed = flows[LINK] + (users[first].at - flows[PASSED]) / share
        if passed > end:
            flows[PASSED] += max(end - flows[LINK], 0.0) * share
            flows[LINK] = max(flows[LINK], end)
            return
        flows[PASSED], flows[LINK] = users[first].at, passed
        take_off(w, 0)
        schedule(w, first, passed, users[first].kind)


@kept
def cut(w: World, i: int) -> bool:
    """Take a transfer off the link that was broken off; whether there was one."""
    for place in range(w.counts[PASSING]):
        if w.passing[place] == i:
            take_off(w, place)
            return True
    return False
