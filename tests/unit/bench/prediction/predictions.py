"""A prediction and a report with round numbers."""

import datetime as dt
from typing import Any

from bench.prediction.score import Course, Measured, Sample, Second, Spread
from bench.prediction.sealed import Against, Prediction
from bench.simulation.bands import Band
from bench.simulation.fleet import Fleet, Machines

FLEET = Fleet(
    machines={"all": Machines(cores=2, lb=2, node=3, worker=2, phones=True)},
    settings={"SNAPSURGE_INGEST_IN_FLIGHT_BYTES_MAX": "33554432"},
)
KNOWN = {"balancers": "2", "nodes": "3", "SNAPSURGE_INGEST_IN_FLIGHT_BYTES_MAX": "33554432"}
BEGAN = dt.datetime(2026, 11, 30, 12, 0, tzinfo=dt.UTC)


def band(value: float) -> Band:
    """A band of a tenth around the value."""
    return Band(value * 0.9, value, value * 1.1)


def prediction(**more: Any) -> Prediction:
    """Sealed a minute before the run."""
    figures = {
        "accepted": band(1000),
        "shed": band(0),
        "ready_p50_ms": band(4000),
        "ready_p90_ms": band(9000),
        "queue_peak": band(500),
        "queue_empty_s": band(60),
        "upload_p99_ms": band(4000),
        "cpu_node_ms_per_pair": band(5),
        "shed@3": band(0),
    }
    given: dict[str, Any] = {
        "sealed_at": "2026-11-30T11:59:00+00:00",
        "trace_sha256": "aa",
        "fleet": FLEET,
        "code": "cc",
        "costs": "dd",
        "figures": figures,
        "axes": {"pairs": 1000.0, "faults": "none"},
    }
    return Prediction(**given | more)


def against(**more: Any) -> Against:
    """The run that it is of."""
    given = {"trace_sha256": "aa", "scale": 1.0, "settings": KNOWN, "cores": 2, "began": BEGAN, "code": "cc"}
    return Against(**given | more)


def report(**more: Any) -> Measured:
    """A run that went as predicted."""
    given: dict[str, Any] = {
        "offered": 1000,
        "accepted": 1000,
        "shed": 0,
        "failed": 0,
        "unknown": 0,
        "latency_ms": Spread(300.0, 900.0, 4100.0),
        "ready_ms": Spread(4100.0, 9100.0, 9900.0),
        "cpu_ms_per_pair": {"lb": None, "node": 5.1},
        "course": Course((Sample(1.0, 40, 0.5), Sample(30.0, 510, 9.0), Sample(61.0, 3, 0.1), Sample(62.0, 2))),
        "seconds": (Second(3, 50, 50, 0),),
    }
    return Measured(**given | more)
