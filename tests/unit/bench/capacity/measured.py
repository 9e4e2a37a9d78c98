"""Costs and a burst with round numbers, so that a plan of them can be checked by hand."""

from typing import Any

import msgspec
import numpy as np

from bench.capacity.aims import Aims
from bench.capacity.costs import Costs, Line, Stores, Tier
from bench.capacity.demand import Uploads
from bench.capacity.plan import Case


def tier(upload_ms: float, drain_ms: float | None = None, read_ms: float | None = None, **more: Any) -> Tier:
    """A tier without bytes in its lines."""
    lines = {"drain": drain_ms, "read": read_ms}
    given = {name: None if ms is None else Line(fixed_ms=ms) for name, ms in lines.items()}
    return Tier(upload=Line(fixed_ms=upload_ms), process_mib=100.0, start_s=2.0, **given, **more)


COSTS = Costs(
    measured_at="2026-11-30T00:00:00Z",
    machine={"cpus": 2},
    code="0123",
    lb=tier(0.5, read_ms=0.0),
    lb_tls=tier(1.0, read_ms=0.0),
    redis=tier(0.1, 0.4),
    stores={
        "minio": Stores(
            node=tier(2.0, read_ms=0.0),
            worker=tier(0.0, 100.0),
            store=tier(3.0, 3.0),
            requests_per_pair=3.0,
            put_ms=(5.0, 10.0),
            render_s=(0.1, 0.2),
        ),
        "file": Stores(
            node=tier(4.0),
            worker=tier(0.0, 100.0),
            requests_per_pair=3.0,
            put_ms=(5.0, 10.0),
            render_s=(0.1, 0.2),
        ),
    },
    media_share=1.0,
    heartbeat_cores=0.0,
    redis_pair_kib=1.0,
)
AIMS = Aims(utilisation=0.5, redis_utilisation=0.5, spare=1, cores=4, views=0.0, views_s=1.0, ready_s=59.0)


def burst(pairs: int = 1000, seconds: int = 10, size: int = 1_000_000) -> Uploads:
    """So many pairs a second for so many seconds, each received within the second in which it begins."""
    begin = np.repeat(np.arange(seconds, dtype=np.float64), 1)
    return Uploads(begin, np.full(seconds, float(size)), np.full(seconds, size * 2.0), float(pairs))


def case(**aims: Any) -> Case:
    """A thousand pairs a second for ten seconds, on those costs."""
    return Case(uploads=burst(), costs=COSTS, aims=msgspec.structs.replace(AIMS, **aims))
