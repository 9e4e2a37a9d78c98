"""Readings become costs."""

import msgspec
import pytest

from bench.capacity.costs import Costs, Line, checked
from bench.costing.assembled import costs
from tests.unit.bench.costing.readings import readings

FOUND = {kind: readings(kind) for kind in ("file", "minio")}
MADE = costs(FOUND, measured_at="2026-11-30T00:00:00Z", machine={"cpus": 2}, code="x", note="n")


def test_lines_are_fitted_to_the_medians_of_rounds() -> None:
    """A disturbed round does not bend them."""
    node = MADE.stores["minio"].node
    assert (node.upload.fixed_ms, node.upload.mb_ms) == (1.0, 2.0)
    assert node.upload.spread == (1.0,) * 11
    assert MADE.lb.upload.spread[0] == 0.5
    assert node.read == Line(fixed_ms=0.5)
    assert node.drain is MADE.lb.drain is None
    assert MADE.redis.drain == Line(fixed_ms=50.0)


def test_each_tier_has_its_figures() -> None:
    """Start as median, memory in MiB; the file store has no tier of its own, the worker no upload."""
    assert (MADE.lb.start_s, MADE.lb.process_mib, MADE.lb.upload_kib) == (2.0, 100.0, 60.0)
    assert (MADE.stores["minio"].node.upload_kib, MADE.lb_tls.drain) == (20.0, None)
    assert MADE.stores["file"].store is None
    assert MADE.stores["minio"].store is not None
    worker = MADE.stores["file"].worker
    assert worker.drain is not None
    assert worker.drain.fixed_ms == 60.0  # 50 alone, and 1.2 times that while all cores render
    assert (worker.upload, worker.drain.spread[0]) == (Line(fixed_ms=0.0), 0.5)


def test_a_workers_cost_is_by_size_while_all_cores_render() -> None:
    """The medians of each size beside the line; other tiers follow their lines."""
    sizes = {"worker": [(2e5, 30.0), (2e5, 32.0), (2e5, 99.0), (1e5, 20.0)], "redis": [(2e5, 3.0), (1e5, 2.0)]}
    made = costs(
        {kind: msgspec.structs.replace(one, drain={**one.drain, **sizes}) for kind, one in FOUND.items()},
        measured_at="", machine={}, code="",
    )  # fmt: skip
    worker = made.stores["file"].worker.drain
    assert worker is not None
    assert worker.points == ((1e5, 24.0), (2e5, 38.4))
    assert worker.ms(1.5e5) == pytest.approx(31.2)
    assert made.redis.drain is not None
    assert made.redis.drain.points == ()


def test_requests_and_bytes_are_for_a_pair() -> None:
    """As MinIO counted them; the file store is asked for the same."""
    for kind in ("file", "minio"):
        stores = MADE.stores[kind]
        assert (stores.requests_per_pair, stores.puts_per_pair) == (3.0, 2.0)
        assert (stores.written_share, stores.read_share) == (1.8, 1.0)
    assert MADE.media_share == 1.0
    assert [MADE.media_bytes(size) for size in (1e4, 2e5, 9e5)] == [120_000.0, 180_000.0, 240_000.0]
    assert MADE.media_bytes(2e5, full=False) == 80_000.0


def test_times_are_quantiles() -> None:
    """A PUT in ms, a render in s."""
    stores = MADE.stores["file"]
    assert (stores.put_ms[0], stores.put_ms[-1], len(stores.put_ms)) == (1.0, 2.0, 11)
    assert (stores.render_s[0], stores.render_s[-1]) == (0.12, 0.36)


def test_the_file_can_be_read_back() -> None:
    """And says what it is of."""
    again = msgspec.json.decode(msgspec.json.encode(MADE), type=Costs)
    assert checked(again, "it") == MADE
    assert (again.code, again.note, again.heartbeat_cores) == ("x", "n", 0.001)


def test_without_counted_requests_there_are_no_costs() -> None:
    """A wrong composition, not a wrong machine."""
    uncounted = {**FOUND, "minio": msgspec.structs.replace(FOUND["minio"], requests=None)}
    with pytest.raises(ValueError, match="not counted"):
        costs(uncounted, measured_at="", machine={}, code="")
