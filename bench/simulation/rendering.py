"""The workers of one tick: each takes the next job of the most urgent class when it is free.

The order of the classes by turn is by `storage/queue/lease.py`, and a claim is for as many jobs as
`processors/ahead.py` lets a worker take under a backlog.
"""

import numpy as np

from .link import cut, limited, send
from .phones import drawn, schedule, served, withdraw
from .rules import compiled, kept, wide
from .uploads import enqueue
from .world import (
    COMPLETING,
    DEGRADE_S,
    DEGRADED,
    FIRST_BYTES,
    FLAGGED,
    IO_S,
    JOB_CLASSES,
    LEASED,
    MEDIA_BYTES,
    NOBODY,
    QUEUED,
    REDIS,
    REDIS_DRAIN,
    RENDERED,
    SETTLED,
    SHOWING,
    SHOWN,
    STARTED,
    STORE,
    STORE_DRAIN,
    WITHOUT_FULL,
    WORKER,
    WORKERS,
    World,
)

SLOTS, AHEAD_S, AHEAD_MAX = 2, 1.0, 16  # `jobs_max` of a worker, and the constants of `processors/ahead.py`
# Each pair also has a flag. It costs next to nothing (its CPU is in the worker's line), but waits for a claim as the
# renders do: while both slots of every worker are taken, flags queue up.
FLAGS_MAX = 64  # of a claim (`processors/worker.py`)
COMPLETE = 2
MEAN_WEIGHT = 0.2  # of a job in the mean duration (`ahead.Ahead`)


@compiled
def sift_down(w: World, root: int) -> None:
    """Restore the heap below this place."""
    heap, workers, size = w.heap, w.workers, w.counts[WORKERS]
    while True:
        child = 2 * root + 1
        if child >= size:
            return
        if child + 1 < size and workers[heap[child + 1]].free < workers[heap[child]].free:
            child += 1
        if workers[heap[root]].free <= workers[heap[child]].free:
            return
        heap[root], heap[child] = heap[child], heap[root]
        root = child


@kept
def push(w: World, worker: int, free_at: float) -> None:
    """Add a worker that is free from then on."""
    heap, workers, at = w.heap, w.workers, w.counts[WORKERS]
    heap[at] = worker
    workers[worker].free, workers[worker].job, workers[worker].batch = free_at, NOBODY, 0
    workers[worker].mean_s, workers[worker].held = AHEAD_S * SLOTS, 0
    w.counts[WORKERS] += 1
    while at and workers[heap[(at - 1) // 2]].free > workers[heap[at]].free:
        heap[at], heap[(at - 1) // 2] = heap[(at - 1) // 2], heap[at]
        at = (at - 1) // 2


@kept
def drop(w: World, at: int) -> None:
    """Remove the worker at this place of the heap."""
    w.counts[WORKERS] -= 1
    w.counts[LEASED] -= w.workers[w.heap[at]].batch
    w.heap[at] = w.heap[w.counts[WORKERS]]
    for root in range(w.counts[WORKERS] // 2 - 1, -1, -1):
        sift_down(w, root)


@compiled
def first_class(w: World, turn: int, end: float) -> int:
    """The class of the job that a worker takes in this turn; NOBODY when none is ready before the tick ends."""
    orders = w.orders
    for number in range(JOB_CLASSES):
        job_class = int(orders[turn % len(orders), number])
        i = w.jobs[job_class, 0]
        if i != NOBODY and w.users[i].at < end:
            return job_class
    return NOBODY


@compiled
def earliest(w: World) -> float:
    """When the first job of any class is ready; infinite without a job."""
    found = np.inf
    for job_class in range(JOB_CLASSES):
        i = w.jobs[job_class, 0]
        if i != NOBODY and w.users[i].at < found:
            found = w.users[i].at
    return found


@compiled
def render(w: World, end: float) -> None:
    """Start every job that a worker can begin before `end`."""
    while w.counts[WORKERS]:
        # Once the times at which jobs become ready and their service times are known, departures are determined: the
        # workers stand in a heap by the time at which they are free.
        worker = wide(w.heap[0])
        one = w.workers[worker]
        began = max(one.free, earliest(w))
        if began >= end:
            if one.free < end:  # a slot is free: the bell has called this worker for the flags
                w.counts[FLAGGED] = 0
            return
        if not one.batch:
            one.turn += 1
        job_class = first_class(w, one.turn, began + 1e-9)
        claim(w, worker, began)
        i = wide(w.jobs[job_class, 0])
        w.jobs[job_class, 0] = w.users[i].link
        if w.jobs[job_class, 0] == NOBODY:
            w.jobs[job_class, 1] = NOBODY
        w.counts[QUEUED] -= 1
        one.free = run(w, worker, i, job_class, began)
        one.job = i
        sift_down(w, 0)


@compiled
def claim(w: World, worker: int, now: float) -> None:
    """Take the next job from those that are claimed; under a backlog, claim some ahead."""
    one, counts = w.workers[worker], w.counts
    if one.batch:
        one.batch -= 1
        counts[LEASED] -= 1
        return
    one.claimed = now
    counts[FLAGGED] -= min(FLAGS_MAX, counts[FLAGGED])
    if counts[QUEUED] - counts[LEASED] > SLOTS * counts[WORKERS]:
        most = SLOTS - 1 + min(int(AHEAD_S * SLOTS / max(one.mean_s, 1e-3)), AHEAD_MAX)
        one.batch = min(most, counts[QUEUED] - counts[LEASED] - 1)
        counts[LEASED] += one.batch


@compiled
def note_duration(w: World, worker: int, seconds: float) -> None:
    """A job had its slot for so long."""
    one = w.workers[worker]
    weight = MEAN_WEIGHT if one.mean_s != AHEAD_S * SLOTS else 1.0  # the first job decides
    one.mean_s += weight * (seconds - one.mean_s)


@compiled
def run(w: World, worker: int, i: int, job_class: int, began: float) -> float:
    """Render the pair; when the worker is free again. A pair that waited long for its claim is completed later."""
    users, machine = w.users, w.workers[worker].machine
    cpu_s = float(users[i].render_s) * drawn(w, WORKER)  # `render_s` is 32 bits, which Python alone would keep
    waited_s = w.workers[worker].claimed - users[i].at  # as `processors/functions.py` counts
    degraded = job_class != COMPLETE and waited_s > w.numbers[DEGRADE_S]
    cpu_s *= w.numbers[WITHOUT_FULL] if degraded else 1.0
    w.flows[WORKER] += cpu_s
    w.machines[machine].rendered += cpu_s
    busy_s = cpu_s / w.machines[machine].render_speed
    served(w, REDIS, i, w.numbers[REDIS_DRAIN])
    served(w, STORE, i, w.numbers[STORE_DRAIN])
    done = began + busy_s
    w.counts[COMPLETING if job_class == COMPLETE else STARTED] += 1
    io_s = w.numbers[IO_S] / w.machines[machine].render_speed
    # A worker has two jobs in hand, of which one renders while the other waits for the store: a matter of milliseconds,
    # unless the way to the store is limited. Then uploads share it, and a worker whose jobs both wait for it renders
    # nothing.
    if limited(w):
        return begin(w, worker, i, began, done, io_s, not degraded)
    in_hand = SLOTS if w.counts[QUEUED] else 1  # under a backlog a job has its slot during the render before it, too
    note_duration(w, worker, in_hand * busy_s + io_s)
    if job_class != COMPLETE:
        users[i].ready = done + io_s
    if degraded:
        complete_later(w, i, done)
    return float(done)


@compiled
def complete_later(w: World, i: int, now: float) -> None:
    """Queue the pair again, for its `full` renditions."""
    w.counts[DEGRADED] += 1
    enqueue(w, i, now, COMPLETE)


@compiled
def begin(w: World, worker: int, i: int, began: float, done: float, io_s: float, whole: bool) -> float:  # noqa: FBT001 - numba
    """Where the way to the store is limited: one slot renders until `done`; infinite if no other one is free then."""
    users, one = w.users, w.workers[worker]
    users[i].node, users[i].left, users[i].whole = worker, began, whole
    w.counts[SHOWING] += 1
    one.held += 1
    one.until = done
    schedule(w, i, done + io_s, RENDERED)
    return float(done if one.held < SLOTS else np.inf)


@compiled
def put_media(w: World, i: int, now: float) -> None:
    """A render ended: its media object goes over the link."""
    users = w.users
    send(w, i, w.numbers[MEDIA_BYTES if users[i].whole else FIRST_BYTES], now, SHOWN)


@compiled
def show(w: World, i: int, now: float) -> None:
    """A media object is stored: the post is ready, and a slot of its worker is free."""
    users, one = w.users, w.workers[w.users[i].node]
    w.counts[SHOWING] -= 1
    one.held -= 1
    users[i].kind = SETTLED
    note_duration(w, users[i].node, now - users[i].left)
    if np.isnan(users[i].ready):
        users[i].ready = now
    if one.free == np.inf:
        one.free = max(one.until, now)
        for root in range(w.counts[WORKERS] // 2 - 1, -1, -1):
            sift_down(w, root)
    if not users[i].whole:
        complete_later(w, i, now)


def broken_off(w: World, worker: int) -> list[int]:
    """Where the way to the store is limited: end the jobs of a worker that died; the users who have no picture yet."""
    users = w.users
    found = np.flatnonzero((users["node"] == worker) & np.isin(users["kind"], (RENDERED, SHOWN)))
    for i in found.tolist():
        if not cut(w, i):
            withdraw(w, i)
        users["kind"][i] = SETTLED
        w.counts[SHOWING] -= 1
    return [i for i in found.tolist() if np.isnan(users["ready"][i])]
