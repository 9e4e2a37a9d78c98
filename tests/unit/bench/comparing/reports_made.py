"""Reports for the tests of a comparison: the part that is compared, of runs that differ only where a test says so."""

from itertools import count
from typing import Any

import msgspec

from bench.comparing.reports import Measured

_moments = count()
GOOD: dict[str, Any] = {
    "offered": 100,
    "accepted": 99,
    "failed": 1,
    "unknown": 0,
    "pending": 0,
    "verdict": "pass",
    "attempts": 110,
    "shed": 10,
    "lost": 0,
    "half": 0,
    "doubled": 0,
    "wrongly_late": 0,
    "latency_ms": {"p90": 800.0, "p99": 1000.0},
    "ready_ms": {"p90": 2000.0, "p99": 3000.0},
    "void": False,
    "trace_sha256": "ab" * 32,
    "scale": 1.0,
    "machine": {"system": "Linux", "cpus": 2},
    "settings": {"store": "minio"},
}


def report(**changed: Any) -> dict[str, Any]:
    """The JSON of a run of its own moment."""
    return {**GOOD, "moment_id": f"moment-{next(_moments)}", **changed}


def measured(**changed: Any) -> Measured:
    """The same as it is read."""
    return msgspec.convert(report(**changed), Measured)


def times(*p99: float) -> list[Measured]:
    """Runs that differ in the p99 of their uploads."""
    return [measured(latency_ms={"p90": 1.0, "p99": value}) for value in p99]
