"""Readings of one kind of store, with round numbers."""

from bench.capacity.costs import Media
from bench.costing.run import Readings
from bench.costing.stack import Counted
from bench.costing.steps import Alone, Held


def readings(kind: str) -> Readings:
    """A node costs 1 ms and 2 ms a MB; a worker 50 ms; one disturbed round of three."""
    names = ("lb", "lb_tls", "node", "redis", *(("store",) if kind == "minio" else ()))
    upload = {name: [(1e6, 3.0), (1e6, 99.0), (1e6, 3.0), (2e6, 5.0)] for name in names}
    return Readings(
        upload=upload,
        drain={name: [(1e6, 50.0)] for name in (*names, "worker") if name != "lb_tls"},
        read={name: [(1e5, 0.5)] for name in names},
        idle_cores=dict.fromkeys((*names, "worker"), 0.01),
        start_s={name: [1.0, 2.0, 9.0] for name in (*names, "worker")},
        process_kib=dict.fromkeys((*names, "worker"), 102_400),
        gaps_s=[0.1, 0.3],
        crowd=1.2,
        media=[
            Media(pair_bytes=1e5, bytes=120_000.0, without_full_bytes=70_000.0),
            Media(pair_bytes=3e5, bytes=240_000.0, without_full_bytes=90_000.0),
        ],
        redis_pair_kib=2.0,
        heartbeat_cores=0.001,
        alone=Alone([1.0, 3.0], [2.0, 2.0], (0.001, 0.002), (0.0, 4.0)),
        held=Held(60.0, 20.0),
        requests=Counted({"PutObject": 2.0, "GetObject": 1.0}, 180.0, 100.0) if kind == "minio" else None,
        pair_bytes=100.0,
    )
