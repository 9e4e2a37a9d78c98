"""The sealed rounds: their cases are what the issue names, and fit what is checked before a run."""

import msgspec
import pytest

from bench.contests import predictions
from bench.prediction.score import AIMS
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
