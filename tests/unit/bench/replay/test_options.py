"""The options of `bench replay`."""

import argparse

import pytest

from bench.replay.options import arguments


def parsed(*words: str) -> argparse.Namespace:
    """The options in these words."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    arguments(parser)
    return parser.parse_args(["t", *words])


def test_resuming_is_left_to_the_trace_unless_said() -> None:
    """Either way."""
    assert [parsed(*words).resume for words in ((), ("--resume",), ("--no-resume",))] == [None, True, False]


@pytest.mark.parametrize(
    ("option", "good", "found", "bad"),
    [
        ("--generators", "1000", 1000, ("0", "1001", "x", "-1")),
        ("--coordinate", "[::1]:7000", ("::1", 7000), ("a", ":1", "a:0", "a:65536", "a:b")),
        ("--machine", "a:b:3", ("a:b", 3), ("a:0", "3:")),
    ],
)
def test_numbers_and_addresses_have_their_limits(
    capsys: pytest.CaptureFixture[str], option: str, good: str, found: object, bad: tuple[str, ...]
) -> None:
    """From both sides."""
    assert getattr(parsed(option, good), option.strip("-")) == found
    for value in bad:
        with pytest.raises(SystemExit):
            parsed(f"{option}={value}")
    assert option in capsys.readouterr().err
