"""The command line and what becomes of it."""

import shlex

import pytest

from bench.config import Config
from bench.options import configured, parser, shape, synth_command

SMALL = shlex.split("synth --posters 6 --median-s 0.02 --span-s 0.1")


def test_a_note_spells_out_every_option() -> None:
    """So that a trace can be made again whatever the defaults become."""
    args = parser().parse_args([*SMALL, "/somewhere/x.gz"])

    assert "--sigma 0.9" in synth_command(args)
    assert synth_command(args).endswith("--seed 1 x.gz")
    assert parser().parse_args(shlex.split(synth_command(args))[3:]).posters == 6


def test_a_shape_is_what_was_asked() -> None:
    """The rest are the defaults."""
    found = shape(parser().parse_args([*SMALL, "x.gz"]))

    assert (found.posters, found.median_s, found.span_s, found.photo_bytes) == (6, 0.02, 0.1, 180_000)


def test_options_go_before_settings() -> None:
    """Given options replace values; the others stay."""
    args = parser().parse_args(["replay", "t", "--target", "u", "--attempts", "2", "--ready-timeout", "7"])
    found = configured(args, Config(region="eu"))

    assert (found.attempts_max, found.ready_timeout_s, found.region) == (2, 7.0, "eu")


def test_help_lists_the_settings(capsys: pytest.CaptureFixture[str]) -> None:
    """With their defaults."""
    with pytest.raises(SystemExit):
        parser().parse_args(["--help"])

    assert "SNAPSURGE_BENCH_LEAD_S=3.0" in capsys.readouterr().out
