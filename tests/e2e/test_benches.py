"""Every bench of the Makefile still runs: its quick form ends well and writes its table. Long: `make test-long`."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULES = re.findall(r"-m (bench\S*(?: lb)?) \$\(if \$\(QUICK\),--quick\)", (ROOT / "Makefile").read_text())

pytestmark = [pytest.mark.long, pytest.mark.timeout(1900)]


def test_the_makefile_names_them() -> None:
    """So that the tests below are about them."""
    assert {"bench lb", "bench.contests.node", "bench.overload", "bench.costing"} < set(MODULES)


@pytest.mark.parametrize("module", MODULES)
def test_a_bench_measures(module: str, tmp_path: Path) -> None:
    """Exit code 0; figures are judged by who reads the table, not here."""
    out = tmp_path / "table.json"
    command = [sys.executable, "-m", *module.split(), "--quick", "--out", str(out)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True) as running:
        try:
            said, errors = running.communicate(timeout=1700)
        except subprocess.TimeoutExpired:
            running.terminate()  # SIGKILL would leave its stack running.
            said, errors = running.communicate(timeout=120)

    assert running.returncode == 0, said[-2000:] + errors[-4000:]
    assert out.stat().st_size > 0
