"""A burst is recorded at the balancers, made a trace, and replayed: `bench record` on a real stack."""

import asyncio
import json
import sys
import time
from pathlib import Path

import aiohttp
import pytest

from bench.traces import trace as traces
from deploy.tokens import token
from tests.e2e.test_stack_restart import ROOT, SECRET, stack

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

POSTERS = 40


async def bench(*words: str) -> None:
    """Run a command of bench; it must succeed."""
    process = await asyncio.create_subprocess_exec(
        *("env", f"SNAPSURGE_AUTH_SECRET={SECRET}", sys.executable, "-m", "bench", *words),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()


async def test_what_was_recorded_replays(tmp_path: Path) -> None:
    """Every arrival is in the trace, with its time and size and under no name; its replay keeps all promises."""
    rows, log, made, again = (tmp_path / name for name in ("rows", "log", "made.jsonl.gz", "again.jsonl.gz"))
    settings = (f"SNAPSURGE_LB_TRACE={rows}", "SNAPSURGE_LB_TRACE_SECRET=k", f"SNAPSURGE_LB_ACCESS_LOG={log}")
    shape = ("--posters", str(POSTERS), "--span-s", "4", "--median-s", "1", "--capture-s", "0.5", "--fanout-s", "0.5")
    await bench("synth", *shape, "--photo-bytes", "20000", "--window-s", "30", str(made))
    async with stack(tmp_path / "stack", *settings) as ready, aiohttp.ClientSession() as session:
        doors = [word for balancer in ready["balancers"] for word in ("--target", balancer["url"])]
        await bench("replay", str(made), *doors, "--connections", "fresh", "--report", str(tmp_path / "first.json"))
        url = f"{ready['balancers'][0]['url']}/v1/moments/current?region=bench"
        ops = {"Authorization": f"Bearer {token(SECRET, 'ops', 'ops', now=time.time(), ttl_s=3600)}"}
        async with session.get(url, headers=ops) as answer:
            fires_at = (await answer.json())["fires_at"]
        await asyncio.sleep(1)  # longer than the balancers' flush
        await bench("record", "--fires-at", fires_at, "--window-s", "30", str(rows), str(again))
        await bench("replay", str(again), *doors, "--report", str(tmp_path / "second.json"))

    wanted, found = traces.read(made), traces.read(again)
    assert (found.header.kind, len(found.rows)) == ("recorded", len(wanted.rows))
    assert {row.s for row in found.rows} == {201}
    assert len({row.u for row in found.rows}) == POSTERS
    sizes = [sum(row.f + row.b for row in trace.rows) for trace in (wanted, found)]
    assert 1 <= sizes[1] / sizes[0] < 1.1
    second = json.loads((tmp_path / "second.json").read_text())
    assert (second["accepted"], second["lost"], second["half"], second["doubled"]) == (POSTERS, 0, 0, 0)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert sum(line["weight"] for line in lines if line["path"].endswith("/posts")) >= 2 * POSTERS
    assert b"eyJ" not in log.read_bytes() + rows.read_bytes()
