"""`bench replay`: files that it is to write are looked at before the burst, and a verdict is not lost with a file."""

import json
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bench.__main__ import main
from bench.prediction import sealed
from tests.unit.bench.fake_service import FakeService, Faults
from tests.unit.bench.prediction.predictions import prediction
from tests.unit.bench.replay.test_processes import bench, ended, service, write

NOBODY = ("--target", "http://127.0.0.1:1")
pytestmark = pytest.mark.timeout(300)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--report", "DIR"), "cannot write DIR: Is a directory"),
        (("--html", "DIR"), "cannot write DIR: Is a directory"),
        (("--report", "DIR/t.gz/r.json"), "cannot write DIR/t.gz/r.json: "),
        (("--report", "DIR/t.gz"), "--report DIR/t.gz is the same file as TRACE: it would be overwritten"),
        (("--html", "DIR/t.gz"), "--html DIR/t.gz is the same file as TRACE"),
        (("--report", "DIR/r", "--html", "DIR/r"), "--html DIR/r is the same file as --report"),
        (("--report", "DIR/r.json", "--html", "DIR/r.svg"), "is the same file as the course beside --report"),
        (("--report", "DIR/r.svg"), "is the same file as --report"),
        (("--report", "DIR/p", "--prediction", "DIR/p"), "--report DIR/p is the same file as --prediction"),
    ],
)
def test_nothing_is_sent_when_its_report_would_be_lost(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], why: str
) -> None:
    """One line, exit 2, no connection; what was there is there."""
    trace, there = write(tmp_path / "t.gz"), str(tmp_path)
    before = trace.read_bytes()

    assert main(["replay", str(trace), *NOBODY, *(word.replace("DIR", there) for word in words)]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert why.replace("DIR", there) in err
    assert (trace.read_bytes(), [one.name for one in tmp_path.iterdir()]) == (before, ["t.gz"])


def test_an_edited_prediction_is_refused_before_the_burst(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line, exit 2, no report."""
    trace, file, out = write(tmp_path / "t.gz"), tmp_path / "sealed.json", tmp_path / "r.json"
    sealed.seal(file, prediction())
    content = msgspec.json.decode(file.read_bytes())
    content["figures"]["accepted"] = {"p10": 1.0, "p50": 1.0, "p90": 1.0}
    file.write_bytes(msgspec.json.encode(content))

    assert main(["replay", str(trace), *NOBODY, "--prediction", str(file), "--report", str(out)]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "sealed.json is not as it was sealed" in err
    assert not out.exists()


async def test_a_lost_pair_stays_lost_when_its_report_cannot_be_written(tmp_path: Path) -> None:
    """The folder goes during the run: the verdict is told, in the exit code too."""
    folder = tmp_path / "reports"

    class Clearing(FakeService):
        """Whoever stores a pair has a file put in the folder's place."""

        async def accept(self, request: Any) -> Any:
            if folder.is_dir():
                shutil.rmtree(folder)
                folder.write_bytes(b"")
            return await super().accept(request)

    words = ("--report", str(folder / "r.json"), "--html", str(folder / "r.html"))
    trace, fake = str(write(tmp_path / "t.gz")), Clearing(Faults(page=100, drop=1))
    async with service(fake) as url, bench(trace, "--target", url, *words) as process:
        code, said = await ended(process)

    assert code == 1, said
    assert "but there is no such post" in said
    for name in ("r.json", "r.html"):
        assert f"bench: cannot write {folder / name}: " in said
    assert "Traceback" not in said


async def test_half_of_the_users_with_errors_is_no_pass(tmp_path: Path) -> None:
    """The table says why."""
    trace, file = write(tmp_path / "t.gz"), tmp_path / "r.json"
    fake = FakeService(Faults(page=100, crash=10))
    async with service(fake) as url, bench(str(trace), "--target", url, "--report", str(file)) as process:
        code, said = await ended(process)
    report = json.loads(file.read_text())

    assert (code, report["verdict"], report["unserved"]) == (1, "fail", 10), said
    assert "10 of 20, more than 1%" in said
