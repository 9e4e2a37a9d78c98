"""What a replay shows while it runs."""

import io

import pytest
from rich.console import Console

from bench.replay.progress import LiveProgress, PlainProgress, Tally, progress_for

TALLY = Tally(offered=10, phase="sending", sent=6, ended=4, accepted=3, shed=2, ready=1)
LINE = "sending: sent 6/10, in flight 2, accepted 3, shed 2, limited 0, ready 1"


def test_plain_progress_is_one_line_each_time(capsys: pytest.CaptureFixture[str]) -> None:
    """For logs and pipes."""
    with PlainProgress() as progress:
        progress.show(TALLY)

    assert capsys.readouterr().out == LINE + "\n"


def test_live_progress_draws_the_same_words() -> None:
    """A bar and the words, on a terminal."""
    screen = io.StringIO()
    with LiveProgress(Console(file=screen, force_terminal=True, width=200)) as progress:
        progress.show(TALLY)

    assert LINE in screen.getvalue()
    assert "6/10" in screen.getvalue()


def test_a_pipe_gets_plain_progress() -> None:
    """Nobody wants control characters in a log."""
    assert isinstance(progress_for(Console(file=io.StringIO())), PlainProgress)
