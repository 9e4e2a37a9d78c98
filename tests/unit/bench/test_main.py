"""The commands: what they print, write and exit with."""

import asyncio
import json
import shlex
import signal
import subprocess
import sys
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from aiohttp.test_utils import TestServer

from bench.__main__ import main, parser
from bench.traces import trace
from deploy.config import Environment
from tests.unit.bench.fake_service import FakeService, Faults

ROOT = Path(__file__).resolve().parents[3]
BUNDLED = ROOT / "bench" / "traces" / "demo-2000.jsonl.gz"
SMALL = shlex.split(
    "synth --posters 6 --median-s 0.02 --capture-s 0.01 --fanout-s 0.01 --span-s 0.1 --window-s 5 "
    "--photo-bytes 36000 --photo-bytes-min 35000 --photo-bytes-max 37000"
)


@contextmanager
def serving(faults: Faults) -> Iterator[str]:
    """The fake on a loop of its own, because the command runs one itself; gives its URL."""
    ready, done = threading.Event(), threading.Event()
    urls: list[str] = []

    async def serve() -> None:
        async with FakeService(faults).server() as server:
            assert isinstance(server, TestServer)
            urls.append(str(server.make_url("")).rstrip("/"))
            ready.set()
            await asyncio.to_thread(done.wait)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    try:
        assert ready.wait(20)
        yield urls[0]
    finally:
        done.set()
        thread.join()


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A trace of six arrivals in a tenth of a second, and settings that do not wait."""
    monkeypatch.setenv("SNAPSURGE_BENCH_LEAD_S", "0.05")
    monkeypatch.setenv("SNAPSURGE_BENCH_LAG_P99_MAX_MS", "60000")
    monkeypatch.chdir(tmp_path)
    assert main([*SMALL, str(tmp_path / "small.jsonl.gz")]) == 0
    return tmp_path / "small.jsonl.gz"


@pytest.mark.parametrize("signals", [1, 2])
def test_ctrl_c_ends_a_replay_with_its_report(small: Path, tmp_path: Path, signals: int) -> None:
    """The first ends the sending: exit code 130, the report is written, no traceback. The second ends at once."""
    report = tmp_path / "report.json"
    with serving(Faults(never_ready=True)) as url:
        words = [sys.executable, "-m", "bench", "replay", str(small), "--target", url, "--report", str(report)]
        environment = {**Environment.current(), "SNAPSURGE_BENCH_READY_TIMEOUT_S": "10000", "PYTHONUNBUFFERED": "1"}
        output = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        with subprocess.Popen(words, cwd=ROOT, env=environment, **output) as process:
            assert process.stdout is not None
            lines = iter(process.stdout.readline, "")
            for line in lines:
                if line.startswith("rendering"):
                    break
            for _ in range(signals):
                process.send_signal(signal.SIGINT)
            shown = "".join(lines)
            assert process.wait(60) == 130

    assert "Traceback" not in shown
    if signals == 1:
        assert json.loads(report.read_text())["interrupted"] is True
        assert "INTERRUPTED" in shown


def test_the_bundled_trace_is_what_its_note_says(tmp_path: Path) -> None:
    """The synth command in the note makes the same file, byte for byte; zlib-ng packs the same text otherwise."""
    note = trace.read(BUNDLED).header.note
    words = shlex.split(note)
    assert words[:3] == ["python", "-m", "bench"]
    assert main([*words[3:-1], str(tmp_path / words[-1])]) == 0

    again = (tmp_path / words[-1]).read_bytes()
    assert trace.text_of(again) == trace.text_of(BUNDLED.read_bytes())
    if "ng" not in zlib.ZLIB_RUNTIME_VERSION:
        assert again == BUNDLED.read_bytes()


def test_the_bundled_trace_fits_its_purpose() -> None:
    """2,000 arrivals within 30 s, some after the window's end, sizes that a small machine can render."""
    bundled = trace.read(BUNDLED)

    assert (len(bundled.rows), bundled.header.kind, bundled.header.window_s) == (2000, "synthetic", 20)
    assert bundled.span_s <= 30
    assert 100 < sum(row.t > 20e6 for row in bundled.rows) < 600
    assert all(40_000 <= size <= 250_000 for row in bundled.rows for size in (row.f, row.b))


def test_a_replay_says_what_it_does_and_reports(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """First line, moment line, progress, table; exit 0; the report as JSON."""
    report = small.parent / "r.json"
    with serving(Faults()) as url:
        code = main(["replay", str(small), "--target", url + "/", "--report", str(report), "--uplink", "none"])
    lines = capsys.readouterr().out.splitlines()
    found = json.loads(report.read_text())

    assert code == 0
    assert lines[0].startswith(f"replaying {small} (6 arrivals in 0 s, window 5 s) at {url}")
    assert lines[1].startswith("moment moment-0 fires at ")
    assert any(line.startswith("checking: sent 6/6") for line in lines)
    assert (found["offered"], found["accepted"], found["ready"], found["lost"]) == (6, 6, 6, 0)


def test_a_lost_post_is_exit_code_one(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And the table and an example say so."""
    with serving(Faults(drop=1)) as url:
        code = main(["replay", str(small), "--target", url, "--ready-timeout", "0"])

    assert code == 1
    assert "but there is no such post" in capsys.readouterr().out


def test_what_cannot_be_run_is_one_line_and_exit_code_two(
    small: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bad trace, a bad setting, a bad option, an impossible burst."""
    (small.parent / "bad.gz").write_bytes(b"plain")
    target = ["--target", "http://127.0.0.1:1"]
    assert main(["replay", str(small.parent / "bad.gz"), *target]) == 2
    assert main(["replay", str(small), *target, "--attempts", "0"]) == 2
    assert main(["replay", str(small), *target, "--scale", "0"]) == 2
    assert main(["synth", "--posters", "1", "--span-s", "0.1", str(small.parent / "x.gz")]) == 2
    assert main(["synth", "--posters", "1", "--median-s", "0", str(small.parent / "x.gz")]) == 2
    monkeypatch.setenv("SNAPSURGE_BENCH_LED_S", "1")
    assert main(["replay", str(small), *target]) == 2

    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 6
    assert "not a gzip file" in errors[0]
    assert errors[-1] == "bench: SNAPSURGE_BENCH_LED_S is not a setting of bench"


def test_help_lists_the_verbs_and_the_settings(capsys: pytest.CaptureFixture[str]) -> None:
    """With the first line of each verb's docstring, and with the defaults."""
    with pytest.raises(SystemExit):
        parser().parse_args(["--help"])

    shown = capsys.readouterr().out
    assert "make a synthetic burst" in shown
    assert "SNAPSURGE_BENCH_LEAD_S=3.0" in shown


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_verb_that_is_ended_leaves_no_half_of_a_file(tmp_path: Path, number: signal.Signals) -> None:
    """130, without a word; the file that was begun is deleted."""
    words = [sys.executable, "-m", "bench", "synth", "--posters", "300000", str(tmp_path / "t.gz")]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        while not list(tmp_path.iterdir()) and process.poll() is None:
            pass
        process.send_signal(number)
        said, _ = process.communicate(timeout=60)

    assert (process.returncode, said) == (130, "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "bench: the following arguments are required: VERB"),
        (["dance"], "bench: argument VERB: invalid choice: 'dance'"),
        (["synth", "--posters", "x", "y.gz"], "bench synth: argument --posters: invalid int value: 'x'"),
        (["plan", "--users", "5", "--a\nb"], "bench: unrecognized arguments: --a b"),
    ],
)
def test_words_that_are_no_command_are_one_line(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 2; the options are told by --help."""
    with pytest.raises(SystemExit) as caught:
        main(words)
    shown = capsys.readouterr().err
    assert caught.value.code == 2
    assert shown.startswith(said)
    assert shown.endswith("; --help tells more\n")
    assert shown.count("\n") == 1
