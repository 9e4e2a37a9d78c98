"""The upload path: tries arrive, are placed and admitted, bodies come, wait for a PUT, are stored and queued.

A process is a queue in order: it is free when what it was given is done, at the speed that its machine has in this
tick. What a decision is comes from the compiled rules (`rules.py`, `admitting.py`, `placing.py`).
"""

import numpy as np

from . import rules
from .admitting import FIRST, HOLDER, LATE, admit, caught_up, release, room, whole
from .admitting import arrived as bytes_arrived
from .link import limited
from .phones import (
    asked_s,
    back_off,
    balancer_of,
    displace,
    drawn,
    overloaded,
    schedule,
    served,
    tick_of,
    unreached,
    worked,
)
from .placing import place, take
from .rules import compiled, wide
from .world import (
    ACCEPTED,
    ANNOUNCE_S,
    ANSWERED,
    AWAY,
    COMMIT_WAIT_S,
    ENQUEUED,
    IN_FLIGHT,
    LB,
    NOBODY,
    NODE,
    PHONE,
    PUT,
    QUEUED,
    RECEIVED,
    REDIS,
    SENT,
    SETTLED,
    SHED,
    SLOWDOWN,
    STAY,
    STORE,
    STORED,
    TICK,
    UNQUEUED,
    VICTIMS,
    WAITING,
    WINDOW_S,
    World,
)

# CPU of one refused request, measured by `make bench-overload` (bench/results/overload.json).
REFUSED_LB_S, REFUSED_NODE_S = 0.00045, 0.00054
NEAR_PERCENT = 60  # of a node's bytes: if its uploads may hold more, their bytes are followed tick by tick


@compiled
def try_upload(w: World, i: int, now: float) -> None:
    """A try reaches a balancer, is placed and asks for admission."""
    users, counts, lb = w.users, w.counts, balancer_of(w, i)
    counts[WAITING if users[i].tries else AWAY] -= 1
    counts[IN_FLIGHT] += 1
    users[i].tried = now
    w.flows[STAY] -= now
    again = users[i].tries > 0
    users[i].tries += 1
    if not w.lbs[lb].alive:
        unreached(w, i, now)
        return
    now = max(now, w.lbs[lb].free)
    n = place(w, lb, i)
    if n == NOBODY:  # the balancer's own 503, with a random Retry-After
        counts[SHED] += 1
        w.shed_s[min(wide(users[i].arrives), len(w.shed_s) - 1)] += 1
        back_off(w, i, now, asked_s(w, float(rules.when_away_s(np.random.random()))))  # noqa: NPY002
        return
    users[i].node = n
    now = max(now, w.nodes[n].free)
    late = users[i].arrives > w.numbers[WINDOW_S]
    admitted = admit(w, n, i, HOLDER if again else LATE if late else FIRST, now)
    displace(w, now)
    if not admitted:
        w.lbs[lb].free = worked(w, LB, w.lbs[lb].machine, REFUSED_LB_S, now)
        w.nodes[n].free = worked(w, NODE, w.nodes[n].machine, REFUSED_NODE_S, now)
        overloaded(w, i, n, now)
        return
    take(w, lb, n, users[i].bytes, 1)
    schedule(w, i, now + users[i].send_s, RECEIVED)


@compiled
def receive(w: World, i: int, now: float) -> None:
    """The last bytes of a body came: balancer and node do their work, then the pair may be stored."""
    users, n, lb = w.users, wide(w.users[i].node), balancer_of(w, i)
    wanted = users[i].length - users[i].received
    room(w, n, i, wanted, now)
    itself = bool(users[i].gone)
    displace(w, now)
    if itself:
        return
    bytes_arrived(w, n, i, wanted)
    size = users[i].bytes
    served(w, PHONE, i, w.costs[PHONE, 0] + w.costs[PHONE, 1] * size)
    cpu_s = (w.costs[LB, 0] + w.costs[LB, 1] * size) * drawn(w, LB)
    w.lbs[lb].free = worked(w, LB, w.lbs[lb].machine, cpu_s, max(now, w.lbs[lb].free))
    cpu_s = (w.costs[NODE, 0] + w.costs[NODE, 1] * size) * drawn(w, NODE)
    began = max(w.lbs[lb].free, w.nodes[n].free)
    w.nodes[n].free = now = worked(w, NODE, w.nodes[n].machine, cpu_s, began)
    whole(w, n, i, now)
    if w.nodes[n].waiting or not rules.commits_free(w.nodes[n]):
        wait_for_put(w, i, n, now)
    else:
        put(w, i, n, now)


@compiled
def wait_for_put(w: World, i: int, n: int, now: float) -> None:
    """The gate: bodies wait in order."""
    users, desk = w.users, w.nodes[n]
    users[i].left, users[i].link, users[i].kind = now, NOBODY, SETTLED
    if desk.wait_last == NOBODY:
        desk.wait_first = i
    else:
        users[desk.wait_last].link = i
    desk.wait_last = i
    desk.waiting += 1


@compiled
def next_waiting(w: World, n: int) -> int:
    """Take the first body that waits at the node's gate."""
    users, desk = w.users, w.nodes[n]
    i = wide(desk.wait_first)
    desk.wait_first = users[i].link
    if desk.wait_first == NOBODY:
        desk.wait_last = NOBODY
    desk.waiting -= 1
    return int(i)


@compiled
def put(w: World, i: int, n: int, now: float) -> None:
    """A PUT begins; it takes as long as an idle store takes, after the store's link has passed its bytes."""
    users = w.users
    rules.commits_began(w.nodes[n], now)
    users[i].left = now
    slower = served(w, STORE, i, w.costs[STORE, 0] + w.costs[STORE, 1] * users[i].bytes)
    put_s = drawn(w, PUT) * w.numbers[SLOWDOWN] * slower
    schedule(w, i, now + put_s, SENT if limited(w) else STORED)


@compiled
def let_in(w: World, n: int, now: float) -> None:
    """Bodies that wait begin their PUTs as far as the limit allows."""
    while w.nodes[n].waiting and rules.commits_free(w.nodes[n]):
        i = next_waiting(w, n)
        put(w, i, n, max(now, w.users[i].left))  # the node may not have come to this body yet


@compiled
def store(w: World, i: int, now: float) -> None:
    """A PUT ended: the pair is committed, announced and answered, and the next body begins."""
    users, n = w.users, wide(w.users[i].node)
    rules.commits_ended(w.nodes[n], now, now - users[i].left, w.nodes[n].waiting, True)
    slower = served(w, REDIS, i, w.costs[REDIS, 0] + w.costs[REDIS, 1] * users[i].bytes)
    let_in(w, n, now)
    release(w, n, i)
    take(w, balancer_of(w, i), n, users[i].bytes, -1)
    answered = now + w.numbers[ANNOUNCE_S] * slower
    if tick_of(w, answered) > w.counts[TICK]:
        schedule(w, i, answered, ANSWERED)
    else:
        answer(w, i, answered)


@compiled
def answer(w: World, i: int, now: float) -> None:
    """The phone has its 201."""
    w.users[i].finished = now
    w.flows[STAY] += now
    w.counts[IN_FLIGHT] -= 1
    w.counts[ACCEPTED] += 1
    w.counts[UNQUEUED] += 1
    schedule(w, i, now, ENQUEUED)


@compiled
def enqueue(w: World, i: int, now: float, job_class: int) -> None:
    """The render is queued behind the others of its class."""
    w.users[i].at, w.users[i].kind, w.users[i].link = now, SETTLED, NOBODY
    if w.jobs[job_class, 1] == NOBODY:
        w.jobs[job_class, 0] = i
    else:
        w.users[w.jobs[job_class, 1]].link = i
    w.jobs[job_class, 1] = i
    w.counts[QUEUED] += 1


@compiled
def time_out(w: World, now: float) -> None:
    """Answer 503 to bodies that waited for a PUT for too long."""
    for n in range(len(w.nodes)):
        desk = w.nodes[n]
        while desk.waiting and now - w.users[desk.wait_first].left > w.numbers[COMMIT_WAIT_S]:
            i = next_waiting(w, n)
            release(w, n, i)
            take(w, balancer_of(w, i), n, w.users[i].bytes, -1)
            overloaded(w, i, n, now)


@compiled
def follow_bytes(w: World, now: float) -> None:
    """Let the bytes of uploads come in at nodes whose memory may be short."""
    for n in range(len(w.nodes)):
        desk = w.nodes[n]
        if desk.announced * 100 <= desk.bytes_max * NEAR_PERCENT:
            continue
        i = wide(desk.first)
        while i != NOBODY:
            after = wide(w.users[i].coming_next)
            came = caught_up(w, i, now)
            if came:
                granted = room(w, n, i, came, now)
                if w.counts[VICTIMS]:  # the list changed: the others come in the next tick
                    if granted and not w.users[i].gone:
                        bytes_arrived(w, n, i, granted)
                    displace(w, now)
                    break
                bytes_arrived(w, n, i, granted)
            i = after
