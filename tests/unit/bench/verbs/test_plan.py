"""`bench plan`: the command line, the files, what is refused."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bench.__main__ import main
from bench.capacity.files import NAMES
from bench.simulation import fleet as fleets
from bench.traces import trace as traces
from bench.traces.trace import Header, Row, Trace
from bench.verbs import plan
from bench.verbs.plan import Region, uploads
from processors.scaling import ladder as followed
from tests.unit.bench.capacity.measured import COSTS


@pytest.fixture
def costs(tmp_path: Path) -> Path:
    """A file of costs."""
    path = tmp_path / "costs.json"
    path.write_bytes(msgspec.json.encode(COSTS))
    return path


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """A burst of a hundred pairs a second, with a retry that is none of its own."""
    rows = [Row(t=n * 10_000, u=f"u{n}", f=100_000, b=100_000, up=1_000_000) for n in range(500)]
    rows.append(Row(t=rows[-1].t, u="u0", f=100_000, b=100_000, up=1_000_000, n=2))
    path = tmp_path / "trace.jsonl.gz"
    traces.write(path, Trace(Header(kind="synthetic", window_s=120, seed=1), tuple(rows)))
    return path


def fleet(folder: Path, **machines: Any) -> Path:
    """A file with a fleet."""
    path = folder / "target.json"
    path.write_text(json.dumps({"machines": dict(machines.items())}))
    return path


def test_a_plan_is_one_json_object_with_the_agreed_parts(
    trace: Path, costs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Tiers, what binds, ladder, money, inputs; first attempts only."""
    assert main(["plan", str(trace), "--costs", str(costs), "--json"]) == 0

    found = json.loads(capsys.readouterr().out)
    assert found["burst"]["pairs"] == 500
    assert set(found["tiers"]) == {"lb", "node", "worker", "redis", "store"}
    for tier in ("lb", "node", "worker"):
        assert {"machines", "cpu_cores"} <= set(found["tiers"][tier])
    assert {"shards", "cpu_cores"} <= set(found["tiers"]["redis"])
    assert {"machines", "cpu_cores"} <= set(found["tiers"]["store"])
    assert {"resource", "limit", "headroom"} <= set(found["binding"][0])
    assert set(found["ladder"][0]) == {"at_s", "tier", "count"}
    assert found["money"]["moment"] is None
    assert found["inputs"]["ready_s"] == 60
    assert followed.parsed(json.dumps(found).encode())


def test_the_files_can_be_used_by_those_for_whom_they_are(trace: Path, costs: Path, tmp_path: Path) -> None:
    """The ladder by the autoscaler, the fleet by `simulate` and by the next plan, which it takes."""
    out = tmp_path / "out"
    assert main(["plan", str(trace), "--costs", str(costs), "--out", str(out)]) == 0

    assert {path.name for path in out.iterdir()} == set(NAMES)
    ladder = followed.parsed((out / "ladder.json").read_bytes())
    assert {step.tier for step in ladder} == {"lb", "node", "worker"}
    assert fleets.read(out / "fleet.json").of("node") > 0
    assert "# Quotas" in (out / "quotas.md").read_text()
    assert json.loads((out / "plan.json").read_text())["ladder"] == msgspec.to_builtins(
        [{"at_s": step.at_s, "tier": step.tier, "count": step.count} for step in ladder]
    )
    again = ["plan", str(trace), "--costs", str(costs), "--target", str(out / "fleet.json")]
    assert main(again) == 0


def test_a_fleet_that_is_too_small_is_a_bad_result(
    trace: Path, costs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 1, and the table says what binds."""
    small = fleet(tmp_path, one={"cores": 1, "lb": 1, "node": 1, "worker": 1, "redis": 1, "store": 1})
    assert main(["plan", str(trace), "--costs", str(costs), "--target", str(small)]) == 1
    assert "this one: NO" in capsys.readouterr().out


def test_users_stand_for_a_burst() -> None:
    """Half of them post, over the time of the push; a sample has the weight of all."""
    found = uploads(Region(users=1000, push_s=30.0))
    assert (len(found.begin_s), found.weight) == (500, 1.0)


def test_a_sample_stands_for_more_users(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each upload counts so many times as needed; small photos are possible."""
    monkeypatch.setattr(plan, "SAMPLE", 100)
    found = uploads(Region(users=1000, posting=1.0, photo_kb=10.0))
    assert (len(found.begin_s), found.weight) == (100, 10.0)
    assert found.size.mean() < 80_000


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "give a TRACE, or --users N"),
        (["TRACE", "--users", "5"], "give a TRACE, or --users N"),
        (["TRACE", "--push-s", "5"], "--push-s goes with --users"),
        (["--users", "0"], "--users 0: Expected `int` >= 1"),
        (["--users", "-5"], "--users -5: Expected `int` >= 1"),
        (["--users", "many"], "--users many: Expected `int`"),
        (["--users", "5", "--utilisation", "half"], "--utilisation half: a finite number"),
        (["--users", "5", "--photo-kb", "1e12"], "--photo-kb 1e12: Expected `float` <= 1000000.0"),
        (["--users", "5", "--memory-gib", "0.001"], "needs 100 MiB of memory, and of a machine's 0.7168 MiB may be"),
        (["--users", "5", "--posting", "1.5"], "--posting 1.5: Expected `float` <= 1.0"),
        (["--users", "5", "--ready-s", "0"], "--ready-s 0"),
        (["--users", "5", "--views-s", "86401"], "--views-s 86401: Expected `float` <= 86400.0"),
        (["--users", "5", "--machine-start-s", "1e300"], "--machine-start-s 1e300: Expected `float` <= 86400.0"),
        (["--users", "5", "--redis-days", "inf"], "--redis-days inf: a finite number"),
        (["--users", "5", "--store", "ceph"], "no store 'ceph'"),
        (["--users", "5", "--costs", "none.json"], "none.json: No such file or directory; `make bench` measures it"),
        (["--users", "5", "--prices", "bench/capacity/prices.template.json"], "to be filled in first"),
        (["--users", "5", "--out", "Makefile"], "Makefile"),
    ],
)
def test_what_cannot_be_planned_is_one_line(
    words: list[str], said: str, trace: Path, costs: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Exit 2, and nothing is written."""
    given = ["plan", *(str(trace) if word == "TRACE" else word for word in words)]
    if "--costs" not in words:
        given += ["--costs", str(costs)]
    assert main(given if "--out" in words else [*given, "--out", str(tmp_path / "out")]) == 2

    shown = capsys.readouterr()
    assert said in shown.err
    assert shown.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_costs_without_a_tier_say_which(trace: Path, costs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By its place in the file."""
    found = json.loads(costs.read_text())
    del found["stores"]["minio"]["worker"]
    costs.write_text(json.dumps(found))
    assert main(["plan", str(trace), "--costs", str(costs)]) == 2
    assert "`worker` - at `$.stores" in capsys.readouterr().err


@pytest.mark.parametrize("tier", ["lb", "node", "worker"])
def test_a_fleet_without_a_tier_is_refused(
    tier: str, trace: Path, costs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of none of its processes a pair could pass it."""
    kinds = {"cores": 1, "lb": 1, "node": 1, "worker": 1, "redis": 1} | {tier: 0}
    path = fleet(tmp_path, one=kinds)
    assert main(["plan", str(trace), "--costs", str(costs), "--target", str(path)]) == 2
    assert f"no machine runs a {tier}" in capsys.readouterr().err


def test_breaks_are_said_to_be_left_out(trace: Path, costs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """On standard error, so that JSON stays one object; nothing is said of a trace without any."""
    assert main(["plan", str(trace), "--costs", str(costs), "--json"]) == 0
    said = capsys.readouterr().err
    assert "not planned for" not in said
    assert "renders cost by a line" in said  # these costs have no points
    found = traces.read(trace)
    rows = (msgspec.structs.replace(found.rows[0], d=(5,), p=(5000,)), *found.rows[1:])
    traces.write(trace, Trace(found.header, rows))
    assert main(["plan", str(trace), "--costs", str(costs), "--json"]) == 0
    assert "not planned for: breaks of 1 uploads" in capsys.readouterr().err


def test_a_plan_is_not_written_over_what_it_is_made_of(
    tmp_path: Path, trace: Path, costs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A fleet.json that is the target, in the folder of --out."""
    target = fleet(tmp_path, a={"cores": 1, "lb": 1, "node": 1, "worker": 1}).rename(tmp_path / "fleet.json")
    before = target.read_bytes()
    words = ["plan", str(trace), "--costs", str(costs), "--target", str(target), "--out", str(tmp_path)]

    assert main(words) == 2
    assert "is the same file as --target" in capsys.readouterr().err
    assert target.read_bytes() == before


def test_a_number_is_read_as_people_write_it(trace: Path, costs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without the nought, or as a whole."""
    words = ["plan", str(trace), "--costs", str(costs), "--json", "--utilisation", ".5", "--ready-s", "60"]
    assert main(words) == 0
    inputs = json.loads(capsys.readouterr().out)["inputs"]
    assert (inputs["utilisation"], inputs["ready_s"]) == (0.5, 60.0)


def test_the_largest_photo_can_be_planned_for() -> None:
    """A gigabyte, at the limit."""
    assert uploads(Region(users=10, photo_kb=1e6)).size.max() <= 2e9
