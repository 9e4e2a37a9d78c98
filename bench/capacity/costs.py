"""What a pair costs in every tier: the content of `bench/results/costs.json`, which `make bench` measures.

The planner and the simulator read this file and nothing else. A cost grows with the bytes of the pair: fixed + bytes.
CPU is in milliseconds of one core, bytes are those of both photos as received (MB = 10^6).
"""

import datetime as dt
from pathlib import Path
from typing import Annotated, Final

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Meta

from ..errors import BenchError
from ..files import read_json
from .aims import DAY_S

WITHOUT_FULL: Final = 5 / 8  # of a media object's bytes (processors/README.md)
LEAST_POINTS: Final = 2  # one point has no slope
LINES_ONLY: Final = "renders cost by a line through few sizes, up to a tenth off; `make bench` measures points"
NotNegative = Annotated[float, Meta(ge=0)]


class CostsError(BenchError):
    """The file cannot be used; the text says which tier is missing."""


class Line(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """CPU of a pair: `fixed_ms + mb_ms * MB`; `spread`: quantiles of measured by this line, in equal steps, 0 to 1.

    `points`: (bytes of a pair, its CPU ms) as measured, the smallest first, where the cost is not a line: a render
    costs by its pixels, which do not grow with the bytes as a line does.
    """

    fixed_ms: NotNegative
    mb_ms: NotNegative = 0.0
    spread: tuple[NotNegative, ...] = ()
    points: tuple[tuple[NotNegative, NotNegative], ...] = ()

    def ms(self, pair_bytes: float) -> float:
        """CPU milliseconds of a pair of so many bytes, on average."""
        return float(self.each_ms(np.array([pair_bytes]))[0])

    def each_ms(self, pair_bytes: npt.NDArray[np.number]) -> npt.NDArray[np.float64]:
        """The same of each pair: between two points, and beyond the last ones on by the slope there; at least 0."""
        sizes = pair_bytes.astype(np.float64)
        # Costs of an older measurement have lines only.
        if len(self.points) < LEAST_POINTS:
            return self.fixed_ms + self.mb_ms * sizes / 1e6
        x, y = np.array(self.points).T
        # Noise may make a larger photo cheaper; a cost that falls with the bytes would become negative beyond the
        # points.
        slopes = np.maximum(np.diff(y) / np.diff(x), 0.0)
        beyond = np.minimum(sizes - x[0], 0.0) * slopes[0] + np.maximum(sizes - x[-1], 0.0) * slopes[-1]
        found: npt.NDArray[np.float64] = np.maximum(np.interp(sizes, x, y) + beyond, 0.0)
        return found

    def times(self, factor: float) -> "Line":
        """A line that costs so many times as much at every size."""
        points = tuple((size, ms * factor) for size, ms in self.points)
        return msgspec.structs.replace(self, fixed_ms=self.fixed_ms * factor, mb_ms=self.mb_ms * factor, points=points)


class Tier(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One process of a tier: CPU by phase, memory, seconds until a new one takes work."""

    upload: Line
    drain: Line | None = None  # what the later render costs this tier
    read: Line | None = None  # one picture read, bytes are those of the picture
    idle_cores: NotNegative = 0.0
    process_mib: NotNegative
    upload_kib: NotNegative = 0.0  # memory of an upload in flight beyond the bytes that it has received
    start_s: Annotated[float, Meta(ge=0, le=DAY_S)]


class Stores(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The tiers that depend on the kind of store: node and worker on it, and the store itself (None: local files)."""

    node: Tier
    worker: Tier
    store: Tier | None = None
    requests_per_pair: NotNegative  # from upload until ready
    put_ms: tuple[NotNegative, ...]  # quantiles of the intake object's PUT on an idle store, in equal steps, 0 to 1
    render_s: tuple[NotNegative, ...]  # quantiles of a worker's wall time for a pair, in equal steps, 0 to 1
    puts_per_pair: NotNegative = 2.0  # of requests_per_pair: the intake object and the media object
    written_share: NotNegative = 1.0  # bytes that the store receives until ready, for each byte received of a phone
    read_share: NotNegative = 1.0  # bytes that the store sends until ready, for each byte received of a phone


class Media(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Mean bytes of the media objects of pairs of one size: all of it, and without the `full` renditions."""

    pair_bytes: NotNegative
    bytes: NotNegative
    without_full_bytes: NotNegative


class Costs(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole measurement. `stores` is by kind: `file` and `minio`."""

    measured_at: str  # RFC 3339
    machine: Annotated[dict[str, str | int], Meta(min_length=1)]
    code: Annotated[str, Meta(min_length=1)]  # hash of the code that was measured
    lb: Tier
    lb_tls: Tier  # each upload over a new TLS connection
    redis: Tier
    stores: dict[str, Stores]
    media_share: NotNegative  # bytes of the media object for each byte received, where `media` says no more
    heartbeat_cores: NotNegative  # of Redis, for each balancer, node and worker that runs: pulses and polls
    redis_pair_kib: NotNegative  # memory of Redis for a post that is ready
    note: str = ""  # how it was measured, where that was not as `make bench` does by default
    media: tuple[Media, ...] = ()  # by size, the smallest first

    def lines_only(self, store: str) -> bool:
        """Whether the renders on this kind of store have no `points`: a reader is told `LINES_ONLY`."""
        drain = self.stores[store].worker.drain if store in self.stores else None
        return drain is not None and len(drain.points) < LEAST_POINTS

    def media_bytes(self, pair_bytes: float, *, full: bool = True) -> float:
        """Bytes of the media object of a pair of so many bytes, between the sizes that were measured."""
        if not self.media:
            return self.media_share * pair_bytes * (1.0 if full else WITHOUT_FULL)
        whole = [one.bytes if full else one.without_full_bytes for one in self.media]
        return float(np.interp(pair_bytes, [one.pair_bytes for one in self.media], whole))


def read(path: Path) -> Costs:
    """The costs in a file; CostsError names the file and what is missing or wrong."""
    try:
        costs = read_json(path, Costs, "file of costs", CostsError)
    except CostsError as error:
        raise CostsError(f"{error}; `make bench` measures it") from error
    return checked(costs, str(path))


def checked(costs: Costs, where: str) -> Costs:
    """The costs unchanged; CostsError names each phase that a tier lacks, and a time that is none."""
    wanted = [("redis", costs.redis, ("drain",))]
    for kind, stores in costs.stores.items():
        wanted.append((f"stores.{kind}.worker", stores.worker, ("drain",)))
        if stores.store is not None:
            wanted.append((f"stores.{kind}.store", stores.store, ("drain",)))
    missing = [
        f"{name} has no {phase}" for name, tier, phases in wanted for phase in phases if getattr(tier, phase) is None
    ]
    if not costs.stores:
        missing.append("no kind of store was measured")
    try:
        dt.datetime.fromisoformat(costs.measured_at)
    except ValueError:
        missing.append(f"measured_at is no time: {costs.measured_at!r}")
    if missing:
        raise CostsError(f"{where}: {'; '.join(missing)}; `make bench` measures it")
    return costs
