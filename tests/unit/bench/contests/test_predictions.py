"""The sealed rounds: their cases are what the issue names, and fit what is checked before a run."""

from pathlib import Path

import msgspec
import pytest

from bench.contests import predictions
from bench.errors import BenchError
from bench.prediction.score import AIMS, Scored
from bench.simulation import fleet as fleets
from bench.verbs import synth


@pytest.mark.parametrize("case", predictions.CASES, ids=lambda case: case.name)
def test_a_case_describes_this_machine(case: predictions.Case, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Its fleet can be read back, has the tiers that `deploy up` starts, and its options are those of `synth`."""
    file = tmp_path_factory.mktemp("fleet") / "fleet.json"
    file.write_bytes(msgspec.json.encode(case.fleet()))
    fleet = fleets.read(file)
    assert [fleet.of(tier) for tier in ("lb", "node", "redis")] == [2, 3, 1]
    assert (fleet.store == "minio") == (case.link_bytes_s is not None)
    known = {"--" + name.replace("_", "-") for name, *_ in synth.OPTIONS} | {"--span-s"}
    assert {word for word in (case.synth or "").split() if word.startswith("--")} <= known


def test_three_bursts_are_run_three_times() -> None:
    """The bundled trace, a calm one, an overload; the errors that have an aim."""
    assert [case.name for case in predictions.CASES] == ["bundled", "calm", "overload"]
    assert predictions.RUNS == 3
    assert {"accepted", "shed", "ready_p50_ms", "queue_peak", "queue_empty_s", "upload_p99_ms"} <= AIMS.keys()


@pytest.mark.parametrize("voids", [predictions.TRIES - 1, predictions.TRIES])
async def test_a_void_run_is_repeated(voids: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each time in a room of its own; after three the bench gives up, and says why."""
    rooms: list[Path] = []

    async def one_try(_case: predictions.Case, _trace: Path, room: Path) -> Scored | None:
        assert room.is_dir()
        rooms.append(room)
        return None if len(rooms) <= voids else Scored(valid=True, within=0.0, errors={}, verdict="")

    monkeypatch.setattr(predictions, "one_try", one_try)
    running = predictions.one_run(predictions.CASES[0], tmp_path / "t.gz", tmp_path / "bundled-0")
    if voids < predictions.TRIES:
        assert (await running).valid
    else:
        with pytest.raises(BenchError, match="bundled: void 3 times"):
            await running
    assert len(set(rooms)) == predictions.TRIES
