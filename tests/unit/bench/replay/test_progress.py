"""What a replay shows while it runs."""

import io

import msgspec
import pytest
from rich.console import Console

from bench.replay.progress import LiveProgress, Pace, PlainProgress, Tally, left_s, progress_for

TALLY = Tally(offered=10, phase="sending", sent=6, ended=4, accepted=3, shed=2, ready=1)
LINE = "sending: sent 6/10, in flight 2, accepted 3, shed 2, limited 0, ready 1"


@pytest.mark.parametrize(
    ("tally", "sending_s", "per_s", "left"),
    [
        (Tally(offered=10), 20.0, 0.0, 20.0),
        (Tally(offered=10, sent=5, ended=5, accepted=5), 6.0, 0.0, None),
        (Tally(offered=10, sent=5, ended=5, accepted=5, ready=5), 6.0, 1.0, 6.0),
        (Tally(offered=10, sent=9, ended=9, accepted=9, ready=3), 1.0, 2.0, 4.0),
        (Tally(offered=10, sent=10, ended=10, accepted=8, ready=4), -2.0, 0.5, 8.0),
        (Tally(offered=10, sent=10, ended=10, accepted=8, ready=8), -2.0, 0.5, None),
        (Tally(offered=10, sent=10, ended=10, accepted=8, ready=7), -2.0, 0.0, None),
    ],
)
def test_the_time_left_is_that_of_the_trace_and_of_the_backlog(
    tally: Tally, sending_s: float, per_s: float, left: float | None
) -> None:
    """What is not yet sent is no backlog; a backlog without a pace is not guessed."""
    assert left_s(tally, sending_s, per_s) == left


@pytest.mark.parametrize(
    ("seen", "per_s"),
    [
        (((0.0, 0),), 0.0),
        (((0.0, 0), (5.0, 10)), 2.0),
        (((0.0, 0), (5.0, 10), (9.9, 90)), 90 / 9.9),
        (((0.0, 0), (5.0, 0), (10.0, 0), (15.0, 100)), 10.0),
    ],
)
def test_the_pace_is_that_of_the_last_ten_seconds(seen: tuple[tuple[float, int], ...], per_s: float) -> None:
    """A slow beginning, when there was little to render, is forgotten; of less than ten seconds, all counts."""
    pace = Pace()
    for now, ready in seen:
        pace.note(now, ready)

    assert pace.per_s() == pytest.approx(per_s)


def test_the_time_left_is_shown_when_it_is_known() -> None:
    """At the end of the line."""
    assert msgspec.structs.replace(TALLY, left_s=41.7).words() == f"{LINE}, about 42 s left"


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
