"""Machine code does what the same kernels do as Python."""

import json
import subprocess
import sys

import pytest

from bench.simulation.code import ROOT
from tests.unit.bench.simulation.simulated import costs, fleet, play, poisson

TOLD = """
import json, sys
from bench.simulation.faults import parsed
from tests.unit.bench.simulation.simulated import costs, fleet, play, poisson
of = fleet(nodes=3, settings={"SNAPSURGE_INGEST_IN_FLIGHT_BYTES_MAX": "2500000"}, store_bytes_s=900000.0)
result = play(poisson(20, 150), of=of, cost=costs(spread=(0.5, 1.0, 2.0))).play([parsed("node:1@2+2")])
print(json.dumps([result.finished.tolist(), result.ready.tolist(), result.shed_s.tolist(), result.lost]))
"""


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_machine_code_and_python_play_the_same_burst() -> None:
    """A short store, short memory and a lost node: every time of every user is the same."""
    assert play(poisson(5, 2), of=fleet(), cost=costs()).play().shed == 0
    found = []
    for jit in ("0", "1"):
        done = subprocess.run(
            ["env", f"NUMBA_DISABLE_JIT={jit}", sys.executable, "-c", TOLD],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        found.append(json.loads(done.stdout))
    assert str(found[0]) == str(found[1])
    assert sum(found[0][2]) > 0
