"""Running bench: its lines go through, the moment is noticed, the trace is half over in time."""

import asyncio
import gzip
import json
import sys
from pathlib import Path

import pytest

from deploy.replay import Replay, ReplayFailed, half_s, read_report

PERCENTILES = {"p50": 1.0, "p90": 2.0, "p99": 3.0, "max": None}
REPORT = {
    **dict.fromkeys(("offered", "accepted", "ready", "rejected", "lost", "half", "doubled", "wrongly_late"), 0),
    "latency_ms": PERCENTILES,
    "ready_ms": PERCENTILES,
    "lag_ms": PERCENTILES,
    "moment_id": "m",
    "something_new": [1],
}


def trace(path: Path, *times: int) -> Path:
    """A trace of arrivals at these µs."""
    rows = [{"snapsurge_trace": 1}, *({"t": t, "u": "x"} for t in times)]
    path.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode()))
    return path


def test_half_of_the_arrivals_not_half_of_the_time(tmp_path: Path) -> None:
    """A burst is steep: the middle arrival counts."""
    assert half_s(trace(tmp_path / "t.gz", 0, 1_000_000, 1_500_000, 2_000_000, 60_000_000)) == 1.5


@pytest.mark.parametrize(
    "content", [b"", b"no gzip", gzip.compress(b"{}\n", mtime=0), gzip.compress(b'{}\n{"u":1}\n', mtime=0)]
)
def test_what_is_no_trace_is_said_to_be_none(tmp_path: Path, content: bytes) -> None:
    """Empty, not compressed, without arrivals, without times."""
    path = tmp_path / "t.gz"
    path.write_bytes(content)

    with pytest.raises(ReplayFailed, match=r"t\.gz"):
        half_s(path)


def test_a_report_is_read_and_what_is_new_in_it_ignored(tmp_path: Path) -> None:
    """Bench may say more than we use."""
    path = tmp_path / "report.json"
    path.write_text(json.dumps(REPORT))

    assert read_report(path).moment_id == "m"


@pytest.mark.parametrize("text", [None, "{", "{}"])
def test_a_missing_or_broken_report_is_an_error(tmp_path: Path, text: str | None) -> None:
    """A run without a report proves nothing."""
    path = tmp_path / "report.json"
    if text is not None:
        path.write_text(text)

    with pytest.raises(ReplayFailed, match="no report"):
        read_report(path)


async def bench(script: str) -> tuple[Replay, list[str], int]:
    """A stand-in for bench, followed to its end."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE)
    replay, shown = Replay(process), list[str]()
    return replay, shown, await replay.follow(shown.append)


async def test_every_line_goes_through_and_the_moment_is_noticed() -> None:
    """The exit code is bench's."""
    replay, shown, code = await bench("print('hello'); print('moment m-1 fires at noon'); print('moment x'); exit(3)")

    assert shown == ["hello", "moment m-1 fires at noon", "moment x"]
    assert (replay.moment_id.result(), code) == ("m-1", 3)


async def test_a_bench_that_ends_before_its_moment_leaves_nobody_waiting() -> None:
    """There is no moment then."""
    replay, _, code = await bench("exit(2)")

    assert (await replay.moment_id, code) == (None, 2)
