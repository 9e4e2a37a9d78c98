"""A primary cut off by the network, alone or with half of the nodes: uploads go on, and all is there at the end."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.long, pytest.mark.timeout(600)]

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("how", ["alone", "half"])
def test_a_primary_that_is_cut_off_costs_no_upload_and_no_post(how: str, tmp_path: Path) -> None:
    """Every upload is answered 201; every post is ready, on time and counted once, some seconds after the healing."""
    if os.geteuid() or not shutil.which("unshare") or not shutil.which("ip"):
        pytest.skip("network namespaces need root, unshare and ip: apt-get install util-linux iproute2")
    command = ["unshare", "-n", "-m", sys.executable, "-m", "tests.e2e.partitioned_redis", str(tmp_path), how]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=500, check=False)
    print(done.stdout)  # noqa: T201 - the measured times
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr[-8000:]}"
    assert "uploads answered 201" in done.stdout
