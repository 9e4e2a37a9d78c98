"""The command line of a synthetic burst, and what becomes of it."""

import shlex

from bench.__main__ import parser
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
