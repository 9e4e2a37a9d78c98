"""The command line of a replay."""

from bench.__main__ import parser
from bench.config import Config
from bench.verbs.replay import configured


def test_options_go_before_settings() -> None:
    """Given options replace values; the others stay."""
    args = parser().parse_args(["replay", "t", "--target", "u", "--attempts", "2", "--ready-timeout", "7"])
    found = configured(args, Config(region="eu"))

    assert (found.attempts_max, found.ready_timeout_s, found.region) == (2, 7.0, "eu")
