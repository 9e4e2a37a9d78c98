"""One tick of a simulated burst: the events of the upload path in the order of their times, then the workers."""

import numpy as np

from .link import limited, pass_on, send
from .phones import refused, schedule, tick_of
from .rendering import put_media, render, show
from .rules import compiled, kept, wide
from .uploads import answer, enqueue, follow_bytes, receive, store, time_out, try_upload
from .world import (
    ANSWERED,
    ENQUEUED,
    FLAGGED,
    NOBODY,
    RECEIVED,
    REFUSED,
    RENDERED,
    SENT,
    SHOWN,
    STORED,
    TICK,
    TICK_S,
    TRIES,
    UNQUEUED,
    WINDOW_S,
    Floats,
    Indices,
    World,
)


@compiled
def gathered(w: World, tick: int) -> Indices:
    """The users with an event in this tick, who are taken from its list."""
    users, count, i = w.users, 0, wide(w.head[tick])
    while i != NOBODY:
        count, i = count + 1, wide(users[i].link)
    found = np.empty(count, np.int32)
    i = wide(w.head[tick])
    for number in range(count):
        found[number], i = i, wide(users[i].link)
    w.head[tick] = NOBODY
    return found


@compiled
def times_of(w: World, found: Indices) -> Floats:
    """When the next event of each of these users is."""
    times = np.empty(len(found), np.float64)
    for number in range(len(found)):
        times[number] = w.users[found[number]].at
    return times


@compiled
def report(w: World, i: int, now: float) -> None:
    """A node reports the post to Redis, which queues its jobs; again later when the shard is away."""
    back = w.shard_back[w.users[i].slot % len(w.shard_back)]
    if back > now:
        schedule(w, i, back, ENQUEUED)
        return
    w.counts[UNQUEUED] -= 1
    w.counts[FLAGGED] += 1
    enqueue(w, i, now, 1 if w.users[i].arrives > w.numbers[WINDOW_S] else 0)


@compiled
def happen(w: World, i: int) -> None:
    """The user's next event."""
    users = w.users
    kind, now = users[i].kind, users[i].at
    if kind == TRIES:
        try_upload(w, i, now)
    elif kind == RECEIVED:
        receive(w, i, now)
    elif kind == SENT:
        send(w, i, users[i].bytes, now, STORED)
    elif kind == STORED:
        store(w, i, now)
    elif kind == ANSWERED:
        answer(w, i, now)
    elif kind == REFUSED:
        refused(w, i, now)
    elif kind == ENQUEUED:
        report(w, i, now)
    elif kind == RENDERED:
        put_media(w, i, now)
    elif kind == SHOWN:
        show(w, i, now)


@kept
def advance(w: World, tick: int, arrived: int) -> int:
    """Play the tick; `arrived` users have come before it. The number of users who have come when it ends."""
    users, end = w.users, (tick + 1) * w.numbers[TICK_S]
    w.counts[TICK] = tick
    follow_bytes(w, end - w.numbers[TICK_S])
    if limited(w):
        pass_on(w, end)
    while arrived < len(users) and tick_of(w, users[arrived].arrives) <= tick:
        schedule(w, arrived, users[arrived].arrives, TRIES)
        arrived += 1
    while w.head[tick] != NOBODY:
        found = gathered(w, tick)
        times = times_of(w, found)
        for number in np.argsort(times, kind="mergesort"):  # stable: of events at one time, as in Python
            i = wide(found[number])
            if users[i].at == times[number]:  # else an event before it in this tick took this one away
                happen(w, i)
    time_out(w, end)
    w.counts[TICK] = tick + 1  # what follows in this tick has been played
    render(w, end)
    return arrived
