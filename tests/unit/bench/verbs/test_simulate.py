"""`python -m bench simulate`: figures with bands, a sealed prediction, and one line for what cannot be run."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from bench.__main__ import main
from bench.capacity.costs import Line
from bench.files import sha256
from bench.prediction import sealed
from bench.simulation.code import code_hash
from bench.traces import trace as traces
from bench.traces.trace import Header, Row, Trace
from tests.unit.bench.simulation.simulated import costs, here


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """A small trace, a fleet and costs."""
    rows = tuple(Row(t=n * 100_000, u=f"u{n}", f=40_000, b=40_000, up=500_000) for n in range(20))
    found = {name: tmp_path / name for name in ("trace", "fleet", "costs", "sealed")}
    traces.write(found["trace"], Trace(Header(kind="synthetic", window_s=20, seed=1), rows))
    found["fleet"].write_bytes(msgspec.json.encode(here(cores=4, nodes=3)))
    found["costs"].write_bytes(msgspec.json.encode(costs()))
    return found


def simulate(files: dict[str, Path], *more: str) -> int:
    """Run the verb."""
    words = ["simulate", str(files["trace"]), "--fleet", str(files["fleet"]), "--costs", str(files["costs"])]
    return main([*words, "--seeds", "2", *more])


def test_a_prediction_is_sealed(files: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    """Of this trace, fleet, costs and code; the table says how far the model was validated."""
    assert simulate(files, "--seal", str(files["sealed"]), "--fault", "node:2@0.3") == 0
    found = sealed.read(files["sealed"])
    assert found.trace_sha256 == sha256(files["trace"])
    assert found.costs == sha256(files["costs"])
    assert (found.code, found.fleet, found.faults) == (code_hash(), here(cores=4, nodes=3), ("node:2@0.3",))
    assert found.figures["offered"].p50 == 20.0
    assert {"accepted@0", "shed@0", "offered@0", "queue_peak", "queue_empty_s"} <= found.figures.keys()
    said = capsys.readouterr().out
    assert "ready_p90_ms" in said
    assert "faults node: not validated" in said


def test_json_is_one_object(files: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    """And nothing else is printed."""
    assert simulate(files, "--json") == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert found["figures"]["accepted"] == {"p10": 20.0, "p50": 20.0, "p90": 20.0}
    assert found["course"][0]["t"] == 1
    assert "pairs" in found["validated"]


def test_json_tells_the_age_of_a_queue(files: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    """One worker that needs half a second for a pair."""
    files["costs"].write_bytes(msgspec.json.encode(costs(render_ms=500.0)))
    files["fleet"].write_bytes(msgspec.json.encode(here(workers=1)))
    assert simulate(files, "--json") == 0
    course = json.loads(capsys.readouterr().out)["course"]
    assert max(second["oldest_s"] for second in course) > 5


@pytest.mark.parametrize(
    ("more", "why"), [({"worker": 10**9}, "at most 100,000"), ({"lb": 10**30}, "at most"), ({"redis": 0}, "a redis")]
)
def test_a_fleet_that_cannot_be_is_one_line(
    files: dict[str, Path], more: dict[str, int], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything of that size is made."""
    one = {"cores": 2, "lb": 1, "node": 1, "worker": 1, "redis": 1} | more
    files["fleet"].write_text(json.dumps({"machines": {"here": one}, "store": "file"}))
    assert simulate(files, "--seal", str(files["sealed"])) == 2
    said = capsys.readouterr().err
    assert why in said
    assert said.count("\n") == 1
    assert not files["sealed"].exists()


def test_breaks_are_said_to_be_left_out(files: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    """On standard error, so that JSON stays one object; nothing is said of a trace without any."""
    assert simulate(files, "--json") == 0
    assert "not simulated" not in capsys.readouterr().err
    rows = (Row(t=1, u="a", f=40_000, b=40_000, up=500_000, d=(70_000,)), Row(t=2, u="b", f=9, b=9, up=500_000))
    traces.write(files["trace"], Trace(Header(kind="synthetic", window_s=20, seed=1), rows))
    assert simulate(files, "--json") == 0
    assert "not simulated: breaks of 1 uploads" in capsys.readouterr().err


def test_costs_of_few_sizes_are_told(files: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    """On standard error; nothing is said of costs by size."""
    assert simulate(files, "--json") == 0
    assert "costs: renders cost by a line" in capsys.readouterr().err
    known = costs()
    line = Line(fixed_ms=50.0, points=((1e5, 40.0), (2e5, 50.0)))
    stores = {kind: replace(one, worker=replace(one.worker, drain=line)) for kind, one in known.stores.items()}
    files["costs"].write_bytes(msgspec.json.encode(replace(known, stores=stores)))
    assert simulate(files, "--json") == 0
    assert "renders cost" not in capsys.readouterr().err


@pytest.mark.parametrize("name", ["trace", "fleet", "costs"])
def test_a_seal_over_an_input_is_refused(files: dict[str, Path], name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 2, and the input is whole."""
    before = files[name].read_bytes()
    assert simulate(files, "--seal", str(files[name])) == 2
    assert "is the same file as" in capsys.readouterr().err
    assert files[name].read_bytes() == before


@pytest.mark.parametrize(
    ("more", "why"),
    [
        (["--seeds", "0"], "at least one"),
        (["--fault", "disk@3"], "say KIND"),
        (["--fault", "node:9@1"], "the fleet has 3"),
        (["--costs", "/nowhere/costs.json"], "No such file"),
        (["--fleet", "/nowhere/fleet.json"], "No such file"),
        (["--seal", "/"], "cannot write /: Is a directory"),
    ],
)
def test_what_cannot_be_run_is_one_line(
    files: dict[str, Path], more: list[str], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 2, no traceback, and nothing is sealed."""
    assert simulate(files, "--seal", str(files["sealed"]), *more) == 2
    said = capsys.readouterr().err
    assert why in said
    assert said.count("\n") == 1
    assert not files["sealed"].exists()
