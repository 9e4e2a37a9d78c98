"""A report of a replay for the tests of pages: a burst of half a minute, some of it shed and later accepted."""

import math
import random

from bench.replay.course import Course, Sample
from bench.replay.report import Percentiles, Report
from bench.replay.seconds import Decile, Second, bucket


def report(**changed: object) -> Report:
    """The report of a good run, but for what changed."""
    rng = random.Random(1)
    seconds = [second(rng, t) for t in range(31)]
    offered = sum(one.offered for one in seconds)
    made = {
        **dict.fromkeys(("replayed", "limited", "failed", "unknown", "lost", "half", "doubled", "wrongly_late"), 0),
        **dict.fromkeys(("rejected", "pending", "bad_renditions", "late"), 0),
        "offered": offered,
        "accepted": offered,
        "shed": sum(one.shed for one in seconds),
        "ready": offered,
        "on_time": offered,
        "attempts": offered,
        "latency_ms": Percentiles(310.0, 900.0, 2600.0, 4000.0),
        "ready_ms": Percentiles(2100.0, 9000.0, 15000.0, 16000.0),
        "lag_ms": Percentiles(1.0, 2.0, 8.0, 12.0),
        "cpu_ms_per_pair": {"lb": 0.7, "node": 2.9, "worker": 74.0},
        "lagged": 0.0,
        "void": False,
        "ready_within_ms": 100.0,
        "took_s": 60.0,
        "moment_id": "01jd",
        "composite_url": None,
        "trace": "bench/traces/demo-2000.jsonl.gz",
        "trace_sha256": "ab" * 32,
        "scale": 1.0,
        "settings": {"balancers": "2", "nodes": "3"},
        "target": ("http://127.0.0.1:8080",),
        "statuses": {"201": offered},
        "examples": (),
        "course": Course(
            window_s=20, arrivals=tuple(one.offered for one in seconds), samples=tuple(map(sample, range(-3, 45)))
        ),
        "seconds": tuple(seconds),
        "uplinks": tuple(
            Decile(bytes_per_s_max=100_000 * 2**n, offered=200, accepted=200, on_time=150 + 5 * n, p50_ms=9, p99_ms=99)
            for n in range(10)
        ),
        "machine": {"system": "Linux", "cpus": 2},
    }  # fmt: skip
    later = {"verdict": "pass", "voided": (), "stopped_by": None, "cleanup": None, "generators": ()}
    made = {name: value for name, value in {**later, **made, **changed}.items() if name in Report.__struct_fields__}
    return Report(**made)  # type: ignore[arg-type] # a test may leave nothing out


def second(rng: random.Random, t: int) -> Second:
    """One second of a burst that peaks in its ninth."""
    offered = round(180 * math.exp(-((t - 9) ** 2) / 30))
    times = [rng.lognormvariate(5.6 + 0.02 * offered / 2, 0.5) for _ in range(offered)]
    upload: dict[str, int] = {}
    for ms in times:
        upload[bucket(ms)] = upload.get(bucket(ms), 0) + 1
    ready: dict[str, int] = {}
    for ms in times:
        ready[bucket(ms * 9)] = ready.get(bucket(ms * 9), 0) + 1
    spent = {"lb": 0.7 * offered, "node": 2.9 * offered, "worker": 1500.0 if t > 3 else 30.0}
    shed = max(0, offered - 140)
    return Second(t=t, offered=offered, accepted=offered, shed=shed, upload_ms=upload, ready_ms=ready, cpu_ms=spent)


def sample(t: int) -> Sample:
    """The queue fills during the burst and is empty in second 40."""
    waiting = max(0, round(1400 * math.sin(math.pi * (t - 2) / 38))) if 2 <= t <= 40 else 0
    return Sample(
        t=float(t), ready=waiting, oldest_s=waiting / 100, workers=1 if t < 0 else 2, desired=2 if t < 42 else 1
    )
