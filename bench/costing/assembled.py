"""The readings of all kinds of store as `Costs`: lines are fitted, medians taken, what is shared is told once.

Pure.
"""

import statistics
from collections.abc import Callable, Iterable, Mapping

import msgspec

from ..capacity.costs import Costs, Line, Stores, Tier
from ..capacity.fitting import fitted, of_buckets, quantiles, spread
from .run import Points, Readings

BY_SIZE = {"worker"}  # costs that are by pixels
DRAINING = {"redis", "store", "worker"}  # balancers and nodes have no part in it: what they spend meanwhile is noise


def costs(
    found: Mapping[str, Readings], *, measured_at: str, machine: dict[str, str | int], code: str, note: str = ""
) -> Costs:
    """The content of `costs.json`."""
    # Balancer and Redis are the same in front of any store, so the readings of all kinds count for them.
    every = list(found.values())
    lb = _tier("lb", every, spread=_spread(one.alone.lb_ms for one in every), upload_kib=_held(every, "lb_kib"))
    return Costs(
        measured_at=measured_at,
        machine=machine,
        code=code,
        lb=lb,
        lb_tls=_tier("lb_tls", every, spread=lb.upload.spread, upload_kib=lb.upload_kib),
        redis=_tier("redis", every),
        stores={kind: _stores(kind, readings, found) for kind, readings in found.items()},
        media_share=_short(statistics.fmean(one.bytes / one.pair_bytes for one in found["file"].media)),
        media=tuple(found["file"].media),
        heartbeat_cores=_short(statistics.median(one.heartbeat_cores for one in every)),
        redis_pair_kib=_short(statistics.median(one.redis_pair_kib for one in every)),
        note=note,
    )


def _stores(kind: str, readings: Readings, found: Mapping[str, Readings]) -> Stores:
    """What depends on the kind of store. Requests are counted by MinIO; a file store is asked for the same."""
    node_ms = _spread([readings.alone.node_ms])
    counted, pair_bytes = found["minio"].requests, found["minio"].pair_bytes
    if counted is None:
        raise ValueError("the requests to MinIO were not counted")
    puts = sum(many for name, many in counted.requests.items() if name.startswith("Put"))
    return Stores(
        node=_tier("node", [readings], spread=node_ms, upload_kib=_short(readings.held.node_kib)),
        worker=_crowded(_tier("worker", [readings], drain_spread=spread(readings.gaps_s)), readings.crowd),
        store=_tier("store", [readings]) if kind == "minio" else None,
        # Counted at MinIO; a file store is asked for the same.
        requests_per_pair=_short(sum(counted.requests.values())),
        puts_per_pair=_short(puts),
        written_share=_short(counted.received / pair_bytes),
        read_share=_short(counted.sent / pair_bytes),
        put_ms=tuple(
            _short(seconds * 1000) for seconds in of_buckets(readings.alone.put_bounds_s, readings.alone.put_counts)
        ),
        render_s=tuple(_short(seconds * readings.crowd) for seconds in quantiles(readings.gaps_s)),
    )


def _tier(
    name: str,
    every: Iterable[Readings],
    *,
    spread: tuple[float, ...] = (),
    drain_spread: tuple[float, ...] = (),
    upload_kib: float = 0.0,
) -> Tier:
    """One tier, from the readings of each stack that had it."""
    stacks = list(every)

    def line(points: Callable[[Readings], Points], parts: tuple[float, ...] = ()) -> Line | None:
        readings = [point for one in stacks for point in points(one).get(name, [])]
        return _line(_medians(readings), parts, by_size=name in BY_SIZE) if readings else None

    idle = statistics.median(one.idle_cores[name] for one in stacks)
    return Tier(
        upload=line(lambda one: one.upload, spread) or Line(fixed_ms=0.0),
        drain=line(lambda one: one.drain, drain_spread) if name in DRAINING else None,
        read=line(lambda one: one.read),
        idle_cores=_short(idle),
        process_mib=_short(max(one.process_kib[name] for one in stacks) / 1024),
        upload_kib=upload_kib,
        start_s=_short(statistics.median(seconds for one in stacks for seconds in one.start_s[name])),
    )


def _line(readings: list[tuple[float, float]], parts: tuple[float, ...], *, by_size: bool) -> Line:
    """The line through the readings, and the readings themselves where costs do not follow it."""
    line = fitted(readings, parts)
    return msgspec.structs.replace(line, points=tuple(sorted(readings))) if by_size and len(readings) > 1 else line


def _rounded(line: Line) -> Line:
    """The line with four significant digits everywhere: more are noise."""
    points = tuple((_short(size), _short(ms)) for size, ms in line.points)
    return msgspec.structs.replace(line, fixed_ms=_short(line.fixed_ms), mb_ms=_short(line.mb_ms), points=points)


def _crowded(worker: Tier, times: float) -> Tier:
    """A worker's costs while each core of its machine renders, which is when its costs matter."""
    if worker.drain is None:
        return worker
    return msgspec.structs.replace(worker, drain=_rounded(worker.drain.times(times)))


def _medians(points: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """The median of the readings of each size, so that one disturbed round does not bend the line."""
    by_size: dict[float, list[float]] = {}
    for size, ms in points:
        by_size.setdefault(size, []).append(ms)
    return [(size, statistics.median(readings)) for size, readings in by_size.items()]


def _spread(readings: Iterable[list[float]]) -> tuple[float, ...]:
    return spread(ms for one in readings for ms in one)


def _held(every: Iterable[Readings], name: str) -> float:
    return _short(statistics.median(getattr(one.held, name) for one in every))


def _short(value: float) -> float:
    """Four significant digits: more are noise."""
    return float(f"{value:.4g}")
