"""bench.command: options, what is printed and written, and the exit code."""

import asyncio
import importlib
import resource
import signal
from pathlib import Path

import msgspec
import pytest

from bench import command
from bench.peers.started import StartError
from bench.rows import Results, judged

HERE = Path(command.__file__).parent / "contests"
BENCHES = sorted(path.stem for path in HERE.glob("*.py") if "= command.given(" in path.read_text())


@pytest.mark.parametrize("name", BENCHES)
def test_the_help_names_the_command(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """So that it can be copied."""
    with pytest.raises(SystemExit):
        importlib.import_module(f"bench.contests.{name}").main(["--help"])
    assert capsys.readouterr().out.startswith(f"usage: python -m bench.contests.{name} ")


def test_options_are_those_of_every_bench(tmp_path: Path) -> None:
    """The table goes where the others are, unless told otherwise."""
    plain = command.given("ring", "About.", "ring.json", [])
    told = command.given("ring", "About.", "ring.json", ["--quick", "--out", str(tmp_path / "x.json")])

    assert (plain.quick, plain.out) == (False, command.RESULTS / "ring.json")
    assert (told.quick, told.out) == (True, tmp_path / "x.json")


def test_rows_are_printed_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A missed aim is told and is no failure; folders are made."""
    row, out = judged("share", "max/mean", 1.1, ratio=1.1, at_most=1.05), tmp_path / "new" / "ring.json"

    assert command.run(out, lambda tell: tell(row), rounds=3) == 0
    written = msgspec.json.decode(out.read_bytes(), type=Results)
    assert written.rows == (row,)
    assert written.machine["rounds"] == 3
    said = capsys.readouterr().out.splitlines()
    assert said[0].endswith("MISSED")
    assert said[1] == f"written to {out}"


def test_what_cannot_be_measured_is_one_line_and_exit_code_two(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first cause of several; nothing is written."""

    def measure(tell: command.Tell) -> None:
        tell(judged("share", "max/mean", 1.0))
        raise ExceptionGroup("all", [ExceptionGroup("inner", [StartError("no MinIO here")])])

    assert command.run(tmp_path / "x.json", measure) == 2
    assert capsys.readouterr().err == "bench: no MinIO here\n"
    assert list(tmp_path.iterdir()) == []


def test_a_fault_of_the_bench_is_not_hidden(tmp_path: Path) -> None:
    """Only what may be missing or fail outside is one line."""

    def measure(_: command.Tell) -> None:
        raise KeyError("share_max")

    with pytest.raises(KeyError):
        command.run(tmp_path / "x.json", measure)


def test_all_files_may_be_opened() -> None:
    """The soft limit becomes the hard one."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        command.open_all_files()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (before[1], before[1])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_sigterm_is_an_interruption(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """So that the blocks that started a stack or a server end it; also where a shell had SIGINT ignored."""
    out, ended = tmp_path / "x.json", []

    async def bench() -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    terminated, interrupted = signal.getsignal(signal.SIGTERM), signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert command.told(out, lambda: asyncio.run(bench())) == 130
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, interrupted)
    assert capsys.readouterr().err == f"bench: interrupted, {out} is as it was\n"
    assert ended == [True]
    assert signal.getsignal(signal.SIGTERM) is terminated
