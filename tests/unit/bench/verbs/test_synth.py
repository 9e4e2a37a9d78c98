"""The command line of a synthetic burst, and what becomes of it."""

import json
import shlex
from pathlib import Path

import pytest

from bench.__main__ import main, parser
from bench.traces import trace
from bench.traces.push import ShapeError
from bench.verbs.synth import command, shape

SMALL = shlex.split("synth --posters 6 --median-s 0.02 --span-s 0.1")


def test_a_note_spells_out_every_option() -> None:
    """So that a trace can be made again whatever the defaults become."""
    args = parser().parse_args([*SMALL, "/somewhere/x.gz"])

    assert "--sigma 0.9" in command(args)
    assert command(args).endswith("--seed 1 x.gz")
    assert parser().parse_args(shlex.split(command(args))[3:]).posters == 6


def test_a_shape_is_what_was_asked() -> None:
    """The rest are the defaults."""
    found = shape(parser().parse_args([*SMALL, "x.gz"]))

    assert (found.posters, found.median_s, found.span_s, found.photo_bytes) == (6, 0.02, 0.1, 180_000)


def test_ops_know_devices_and_a_quota(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The number of devices, the share that posts, the quota a minute; the note repeats it."""
    words = shlex.split("synth --devices 100 --posting 0.3 --pushes-per-minute 60")
    out = tmp_path / "x.gz"
    assert main([*words, "--json", str(out)]) == 0
    found = json.loads(capsys.readouterr().out)
    made = trace.read(out)

    assert (found["users"], found["push_s"], len(made.rows)) == (30, 100, 30)
    assert "--devices 100 --pushes-per-minute 60 " in made.header.note
    assert "--fanout-s" not in made.header.note
    assert main([*shlex.split(made.header.note)[3:-1], str(tmp_path / "y.gz")]) == 0
    assert trace.read(tmp_path / "y.gz").rows == made.rows
    assert "the push reaches 100 devices in 100 s" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words",
    [
        "",
        "--posting 0.5",
        "--posters 5 --devices 10 --posting 0.5",
        "--devices 10 --posting 0",
        "--devices 10 --posting 1.5",
        "--posters 5 --devices 10 --fanout-s 5 --pushes-per-minute 60",
        "--posters 5 --pushes-per-minute x",
        "--posters 5 --uplinks x",
    ],
)
def test_options_that_contradict_each_other_are_refused(words: str) -> None:
    """Each with what to say instead."""
    with pytest.raises(ShapeError):
        shape(parser().parse_args(["synth", *shlex.split(words), "x.gz"]))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "words",
    [
        "--posters 5 --pushes-per-minute 60",
        "--posters 0",
        "--posters 20000001",
        "--posters 5 --median-s 1e308",
        "--posters 5 --sigma 1e6",
        "--posters 5 --sigma 20.01",
        "--posters 5 --photo-sigma 1e9",
        "--posters 5 --fanout-s 172801",
        "--posters 5 --capture-s 1e308",
        "--posters 5 --photo-bytes 1000000001",
    ],
)
def test_what_cannot_be_made_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], words: str) -> None:
    """And no file, whole or half."""
    assert main(["synth", *shlex.split(words), str(tmp_path / "x.gz")]) == 2
    assert main(["synth", "--posters", "5", str(tmp_path / "none" / "x.gz")]) == 2
    assert main(["synth", "--posters", "5", "--window-s", "0", str(tmp_path / "x.gz")]) == 2
    assert main(["synth", "--posters", "5", "--window-s", "86401", str(tmp_path / "x.gz")]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 4
    assert list(tmp_path.iterdir()) == []


def test_a_network_is_a_model_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its uplinks unless others are asked for; the note repeats the trace; without one nothing breaks."""
    words = shlex.split("synth --posters 400 --span-s 60 --network subway")
    out, again = tmp_path / "x.gz", tmp_path / "y.gz"
    assert main([*words, "--json", str(out)]) == 0
    found = json.loads(capsys.readouterr().out)
    made = trace.read(out)
    assert main([*shlex.split(made.header.note)[3:-1], str(again)]) == 0

    assert trace.read(again).rows == made.rows
    assert (found["network"], found["source"]) == ("subway", "model")
    assert found["breaks"] == sum(bool(row.d) for row in made.rows) > 100
    assert made.header.snapsurge_trace == 2
    assert "network subway, a model: " in capsys.readouterr().out
    assert shape(parser().parse_args([*words, "--uplinks", "9:1", "x.gz"])).uplinks[0].bytes_per_s == 9
    assert main([*words[:-2], str(out)]) == 0
    assert trace.read(out).header.snapsurge_trace == 1


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "words",
    ["--median-s 172800 --sigma 20 --fanout-s 172800 --capture-s 172800", "--photo-sigma 20", "--window-s 86400"],
)
def test_the_greatest_parameters_are_drawn_without_a_warning(tmp_path: Path, words: str) -> None:
    """The limits of the options, or a clear error for who posts too late."""
    code = main(["synth", "--posters", "500", *shlex.split(words), str(tmp_path / "x.gz")])
    assert (code, (tmp_path / "x.gz").exists()) == ((2, False) if "median" in words else (0, True))
