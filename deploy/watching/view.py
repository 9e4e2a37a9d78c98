"""What the live view shows, as values: the terminal and the page draw the same. Pure; seconds and unix seconds.

None means unknown: no program reported it, or it is a rate and there was only one reading.
"""

from typing import Final

import msgspec

# How a node or balancer is, worst first; the words that both views show.
SILENT: Final = "no answer"
UNHEALTHY: Final = "not healthy"
DRAINING: Final = "draining"
PANIC: Final = "panic mode"
NOT_READY: Final = "not ready"
STARTING: Final = "slow start"
HEALTHY: Final = "healthy"

BEHIND_S: Final = 120.0  # Of the sweeper, as the alert SnapsurgeSweeperBehind.
STALE_S: Final = 10.0  # Clocks of two hosts may differ by some of it.
BEFORE_S: Final = 90.0  # A moment is near.


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """The moment that counts now; `since_s` is negative before it fires. `posts`: its exact counts by state."""

    id: str
    region: str
    fires_at: float
    closes_at: float
    since_s: float
    posts: dict[str, int] = {}
    complete: bool | None = None  # Whether its counts cover every post; without them `posts` is empty.
    others: int = 0  # Other moments that the autoscaler tells of.

    @property
    def phase(self) -> str:
        """`before`, `open` or `closed`."""
        if self.since_s < 0:
            return "before"
        return "open" if self.since_s <= self.closes_at - self.fires_at else "closed"

    @property
    def uncounted(self) -> bool:
        """Whether it fired and its counts are not complete."""
        return self.complete is False and self.since_s >= 0


class Flow(msgspec.Struct, frozen=True, kw_only=True):
    """Uploads a second. `shed`: refused because we are full or broken; `back`: came back with their ticket."""

    offered: float | None = None
    accepted: float | None = None
    shed: float | None = None
    late: float | None = None
    back: float | None = None


class Times(msgspec.Struct, frozen=True, kw_only=True):
    """Percentiles in seconds of what ended within the last `over_s`."""

    p50_s: float | None = None
    p99_s: float | None = None
    count: float = 0.0
    over_s: float = 0.0


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """A node, as the balancers see it and as it says itself. `share` of the ring and `load`, its part of all requests.

    `healthy_at` of `balancers` find it healthy.
    """

    name: str
    state: str
    why: str = ""
    healthy_at: int = 0
    balancers: int = 0
    share: float | None = None
    load: float | None = None
    per_s: float | None = None
    in_flight: float | None = None
    bytes: float | None = None
    bytes_max: float | None = None
    answer_s: float | None = None
    ejected: int = 0  # Ejections since the view before.
    started: float | None = None


class Balancer(msgspec.Struct, frozen=True, kw_only=True):
    """A balancer, with its requests a second."""

    name: str
    state: str
    per_s: float | None = None
    in_flight: float | None = None
    clients: float | None = None
    started: float | None = None


class Queue(msgspec.Struct, frozen=True, kw_only=True):
    """The queue and the workers, as the leading autoscaler measured them; `tiers`: what the ladder wants now."""

    leader: str
    ready: float
    leased: float
    deferred: float
    oldest_s: float
    workers: float
    desired: float
    dead: float
    lapsed: int = 0  # Jobs whose worker was lost, since the view before.
    lost: int = 0  # Pairs that the sweeper found lost by the store, since the view before.
    behind_s: float = 0.0  # How late the sweeper's next step is.
    emptied: bool = False  # Redis has lost what it counted, since the view before.
    measured_ago_s: float | None = None
    tiers: dict[str, int] = {}

    @property
    def stale(self) -> bool:
        """Whether the numbers are old: Redis does not answer the autoscaler, which measures every second."""
        return self.measured_ago_s is not None and self.measured_ago_s > STALE_S


class Store(msgspec.Struct, frozen=True, kw_only=True):
    """The commits of pairs: their time, and the refusals a second by cause."""

    times: Times
    refused: dict[str, float] = {}


class Shard(msgspec.Struct, frozen=True, kw_only=True):
    """A Redis, as the leading autoscaler sees it."""

    name: str
    up: bool
    bytes: float | None = None
    bytes_max: float | None = None


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened. `kind` is `good`, `note` or `bad`."""

    at: float
    words: str
    kind: str = "note"
    since_s: float | None = None  # The moment.


class Foretold(msgspec.Struct, frozen=True, kw_only=True):
    """A predicted figure, and its value so far, None while it cannot be known. `outside`: it cannot end in the band."""

    name: str
    p10: float
    p50: float
    p90: float
    now: float | None = None
    outside: bool = False


class Point(msgspec.Struct, frozen=True, array_like=True):
    """The course at one time: an array, because a page gets hundreds of them each time."""

    at: float
    offered: float | None
    accepted: float | None
    shed: float | None
    late: float | None
    p50_s: float | None
    p99_s: float | None
    ready: float | None
    oldest_s: float | None
    workers: float | None
    desired: float | None
    store_p99_s: float | None


class View(msgspec.Struct, frozen=True, kw_only=True):
    """Everything at one time. `problems`: what is wrong now, in words."""

    at: float
    moment: Moment | None = None
    others: tuple[Moment, ...] = ()  # The first ones: open, then to come by their time, then over.
    flow: Flow = Flow()
    uploads: Times = Times()
    nodes: tuple[Node, ...] = ()
    balancers: tuple[Balancer, ...] = ()
    queue: Queue | None = None
    store: Store | None = None
    shards: tuple[Shard, ...] = ()
    workers_read: int = 0
    read: int = 0
    silent: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    events: tuple[Event, ...] = ()
    foretold: tuple[Foretold, ...] = ()
    course: tuple[Point, ...] = ()
