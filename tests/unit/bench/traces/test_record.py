"""bench.traces.record: rows of balancers become a trace that replays."""

from pathlib import Path

import msgspec
import pytest

from bench.traces import trace
from bench.traces.record import Seen, fires_at_us, read, record
from bench.traces.trace import TraceError

FIRES = 1_700_000_000_000_000
PATH = "/v1/moments/[^/]+/posts"


def row(at_s: float, user: str = "u", **more: object) -> Seen:
    """A row so many seconds after the moment."""
    said = {"p": "/v1/moments/m/posts", "len": 701, "got": 701, "up": 8000, "s": 201} | more
    return Seen(at=FIRES + round(at_s * 1e6), u=user, **said)


def made(*rows: Seen) -> list[trace.Row]:
    """The rows of the trace."""
    return list(record(rows, fires_us=FIRES, window_s=120, span_s=600, path=PATH, note="n").rows)


def test_the_moment_is_zero_and_the_body_two_photos() -> None:
    """Times, halves, rates, attempts and statuses; refused and aborted ones are kept."""
    found = made(row(1, "a", s=503, got=0, up=0), row(2, "b"), row(3, "a", s=0, got=300, up=4000))
    assert [(r.t, r.u, r.f, r.b, r.n, r.s) for r in found] == [
        (1_000_000, "a", 351, 350, 1, 503),
        (2_000_000, "b", 351, 350, 1, 201),
        (3_000_000, "a", 351, 350, 2, 0),
    ]
    assert [r.up for r in found] == [6000, 8000, 4000]


def test_what_is_not_of_the_moment_is_left_out() -> None:
    """Before it, long after, another path, no body, unless the length was not announced but came."""
    others = (row(-1), row(601), row(1, p="/v1/moments"), row(1, len=0, got=0), row(1, len=-1, got=0))
    assert [r.f for r in made(*others, row(5, len=-1, got=10))] == [5]
    with pytest.raises(TraceError, match="--fires-at"):
        made(*others)


def test_the_trace_reads_back(tmp_path: Path) -> None:
    """A cut last line is forgiven, any other is named; what was made passes the reader's checks."""
    raw = tmp_path / "rows"
    raw.write_bytes(msgspec.json.encode(row(2)) + b"\n" + msgspec.json.encode(row(1)) + b'\n{"at":1')
    whole = record(read([raw]), fires_us=FIRES, window_s=120, span_s=600, path=PATH, note="n")
    trace.write(tmp_path / "t.gz", whole)
    assert trace.read(tmp_path / "t.gz") == whole
    raw.write_bytes(b"{}\n" + msgspec.json.encode(row(1)))
    with pytest.raises(TraceError, match="line 1"):
        read([raw])


def test_times_need_a_zone() -> None:
    """A time without one would be this machine's."""
    assert fires_at_us("2023-11-14T22:13:20Z") == FIRES
    with pytest.raises(TraceError, match="zone"):
        fires_at_us("2023-11-14T22:13:20")


def test_rows_of_two_moments_are_refused() -> None:
    """Named with their numbers, and how to choose one; a chosen one is made."""
    rows = (row(1, "a"), row(2, "b", p="/v1/moments/other/posts"), row(3, "c"))
    with pytest.raises(
        TraceError, match=r"2 moments: /v1/moments/m/posts \(2\), /v1/moments/other/posts \(1\).*--path"
    ):
        made(*rows)
    one = record(rows, fires_us=FIRES, window_s=120, span_s=600, path="/v1/moments/m/posts", note="n")
    assert [r.u for r in one.rows] == ["a", "c"]


def test_whatever_a_client_announced_reads_back() -> None:
    """A body of any length, an uplink of any rate: clipped to what a row may say."""
    found = made(row(1, "a", len=10**15, got=1, up=10**15), row(2, "b", up=-5))
    assert [(r.f, r.up) for r in found] == [(10**9, 10**9), (351, 1)]
    assert trace.decode(trace.encode(trace.Trace(trace.Header(kind="recorded", window_s=1), tuple(found)))).rows


@pytest.mark.parametrize("wrong", [{"s": 600}, {"s": -1}, {"got": -1}, {"u": ""}, {"u": "é"}, {"u": "x" * 65}])
def test_a_row_that_no_balancer_writes_is_named(tmp_path: Path, wrong: dict[str, object]) -> None:
    """Instead of a trace that cannot be read."""
    said = {"at": FIRES, "u": "u", "p": "/", "len": 1, "got": 1, "up": 1, "s": 0} | wrong
    (tmp_path / "rows").write_bytes(msgspec.json.encode(said) + b"\n" + msgspec.json.encode(row(1)))
    with pytest.raises(TraceError, match="rows: line 1"):
        read([tmp_path / "rows"])


def test_a_path_that_is_no_expression_is_refused() -> None:
    """One line."""
    with pytest.raises(TraceError, match=r"--path \["):
        record([row(1)], fires_us=FIRES, window_s=120, span_s=600, path="[", note="n")
