"""The state of a simulated burst as numpy records: users, balancers, nodes, workers, machines, queues. Values only.

A user has at most one try in flight, so a try is its user's record, and that record is also its `Place` in a node. A
node's record holds what `Commits`, `Returns` and `Admission` hold. `link` chains a user to the next one of its list: an
event's tick, a node's gate, or a queue of jobs. Few arrays, because every compiled function takes them all.
"""

from typing import Any, Final, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from ingest.admission import USUAL_BYTES, USUAL_S, Admission, Budget
from ingest.commits import Commits
from ingest.places import Place
from ingest.returns import Returns

from . import rules

Floats = npt.NDArray[np.float64]
Shorts = npt.NDArray[np.float32]
Words = npt.NDArray[np.uint32]
Indices = npt.NDArray[np.int32]
Longs = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]
Cells = npt.NDArray[np.uint16]
Records = Any  # np.recarray: its fields are attributes

NOBODY: Final = -1
# What a user's next event is.
TRIES, RECEIVED, SENT, STORED, ANSWERED, REFUSED, ENQUEUED, RENDERED, SHOWN, SETTLED = range(10)
# `counts`: users by where they are; the first ones add up to all users at any time.
AWAY, IN_FLIGHT, WAITING, ACCEPTED, GIVEN_UP = range(5)
QUEUED, STARTED, SHED, VICTIMS, UNQUEUED, SPILLS, WEIGHT, RAMPING, COMPLETING, LEASED = range(5, 15)
LOST, OPEN, TICK, SALT, _SALT_2, WORKERS, PASSING, SHOWING, FLAGGED, DEGRADED, COUNTS = range(15, 26)
JOB_CLASSES: Final = 3  # on time, late, to complete
# CPU seconds by tier in `flows`, costs in `costs`, machines in `servers`, distributions in `spreads`
LB, NODE, WORKER, REDIS, STORE, PHONE = range(6)
TIERS: Final = ("lb", "node", "worker", "redis", "store", "phone")
PUT: Final = 3  # in `spreads`: seconds of a PUT
SPREAD: Final = 101
# Also in `flows`: until when the store's link is used, the bytes that it has passed of each transfer, and the times at
# which tries ended, less those at which tries began, added up.
LINK, PASSED, STAY, FLOWS = range(6, 10)
# `numbers`
TICK_S, WINDOW_S, ATTEMPTS, REQUEST_BYTES, BOUND_PERCENT, BOUND_FLOOR, COMMIT_WAIT_S, ANNOUNCE_S, SLOWDOWN = range(9)
LINK_BYTES_S, MEDIA_BYTES, IO_S, DEGRADE_S, WITHOUT_FULL, RETRY_S_MAX, BACKOFF_S, BACKOFF_S_MAX = range(9, 17)
STORE_DRAIN, REDIS_DRAIN, FIRST_BYTES, NUMBERS = range(17, 21)

# Times in seconds after the moment. `slot` and `turn` are of the user's digest on the ring. `left`: seconds left at the
# last review, while the body comes; then when the wait for a PUT or the PUT began; of a refused try, how long the phone
# waits. Where the store's link is limited, a render's `left` is when its job was claimed, `node` its worker, and
# `whole` says that its object has `full`. `render_s`: CPU of a render of this user's pair, on average.
USER: Final = np.dtype(
    [
        *((name, "f8") for name in ("arrives", "at", "since", "left")),
        *((name, "i4") for name in ("length", "received", "held", "charged")),
        *((name, "i4") for name in ("bytes", "link", "coming_next", "coming_last")),
        *((name, "f4") for name in ("send_s", "tried", "laggard_until", "finished", "ready", "render_s")),
        *(("slot", "u4"), ("node", "i2"), ("laggard_node", "i2")),
        *((name, "u1") for name in ("kind", "tries", "moved", "refused", "turn", "queued")),
        *((name, "?") for name in ("announced", "slow", "whole", "gone")),
    ]
)
DESK: Final = np.dtype(
    [
        *((name, "i8") for name in ("requests", "bytes", "held", "slow", "slow_bytes", "requests_max", "bytes_max")),
        ("announced", "i8"),  # the lengths of all uploads: what they may hold at the most
        *(("reviewed_at", "f8"), ("waiting", "i4")),
        *((name, "i4") for name in ("first", "last", "wait_first", "wait_last")),
    ]
)
_PLACED: Final = np.dtype(
    [
        *(("free", "f8"), ("weight", "i8"), ("machine", "i4"), ("ramp", "i4"), ("factor", "u4")),
        *((name, "?") for name in ("open", "resort")),
    ]
)
NODE_RECORD: Final = np.dtype([*rules.COMMITS.descr, *rules.RETURNS.descr, *DESK.descr, *_PLACED.descr])
LB_RECORD: Final = np.dtype([("free", "f8"), ("load", "i8"), ("machine", "i4"), ("alive", "?")])
MACHINE: Final = np.dtype([(name, "f8") for name in ("speed", "render_speed", "work", "rendered")])
# `free`: infinite while all its slots wait for the store's link; then `until` is when its last render ends. `claimed`:
# when its jobs were claimed.
WORKER_RECORD: Final = np.dtype(
    [
        *((name, "f8") for name in ("free", "until", "mean_s", "claimed")),
        *((name, "i4") for name in ("machine", "turn", "batch", "job", "held")),
    ]
)


class World(NamedTuple):
    """Everything. `work` and `rendered`: CPU seconds that uploads and renders began on a machine in this tick."""

    users: Records
    nodes: Records
    usual: Records  # by node: seconds, bytes
    lbs: Records
    load: Longs  # by balancer and node
    machines: Records
    workers: Records
    heap: Indices  # workers that run, by the time at which each is free
    passing: Indices  # users whose object is on the store's link, by what is left of it
    orders: Bytes  # order of the job classes by a worker's turn
    table: Cells
    scores: Longs
    head: Indices  # first user of each tick
    jobs: Indices  # first and last user of each class
    counts: Longs
    victims: Indices
    order: Longs
    shed_s: Longs  # answers by the second of the upload's first try
    flows: Floats
    shard_back: Floats  # when each shard's Redis answers again
    servers: Indices  # by tier: how many machines, then which
    numbers: Floats
    costs: Floats  # CPU seconds by tier: fixed, for each byte
    spreads: Floats


def records(dtype: np.dtype[np.void], count: int, *like: object) -> Records:
    """So many records; a field that one of the objects has begins with its value."""
    made = np.zeros(count, dtype).view(np.recarray)
    for name in dtype.names or ():
        for one in like:
            if hasattr(one, name):
                made[name] = getattr(one, name)
    return cast("Records", made)


def users_of(arrives: Floats, sizes: Indices, send_s: Shorts, slots: Words, turns: Bytes) -> Records:
    """Users who arrive at these times, which are sorted."""
    made = records(USER, len(arrives), Place("", 1, 0.0))
    made["arrives"] = made["at"] = arrives
    made["bytes"], made["send_s"], made["slot"], made["turn"] = sizes, send_s, slots, turns
    made["gone"] = True
    for name in ("node", "link", "coming_next", "coming_last", "laggard_node"):
        made[name] = NOBODY
    made["laggard_until"] = -np.inf
    made["finished"] = made["ready"] = np.nan
    return made


def nodes_of(count: int, budget: Budget) -> tuple[Records, Records]:
    """New nodes, and the usual seconds and bytes that they know."""
    made = records(NODE_RECORD, count, Commits(), Returns(), Admission(budget, Commits()))
    made["reviewed_at"] = -np.inf
    made["free"] = 0.0  # a property of Commits has this name
    made["requests_max"], made["bytes_max"] = budget.requests_max, budget.bytes_max
    for name in ("first", "last", "wait_first", "wait_last"):
        made[name] = NOBODY
    usual = np.zeros((count, 2), rules.USUAL).view(np.recarray)
    usual["value"][:] = USUAL_S, USUAL_BYTES
    return made, usual
