"""An outage is told once when it begins and once when it is over."""

from ingest.outages import BURST_S, QUIET_S, Bursts, Outage


def test_the_first_failure_is_told_and_the_first_success_after_a_quiet_time() -> None:
    """However many there are of both, and mixed as shards mix them."""
    outage = Outage()
    assert not outage.worked(0.0)
    assert [outage.failed(at) for at in (1.0, 2.0, 3.0)] == [True, False, False]
    assert not outage.worked(3.0 + QUIET_S)
    assert not outage.failed(13.0)
    assert [outage.worked(at) for at in (13.1 + QUIET_S, 14.0 + QUIET_S)] == [True, False]
    assert outage.failed(30.0)


def test_a_burst_is_one_line_a_second_with_the_count() -> None:
    """The first at once, later ones with the number left out; one kind does not hide another."""
    bursts = Bursts()
    assert [bursts.counted("full", at) for at in (5.0, 5.1, 5.9)] == [0, None, None]
    assert bursts.counted("other", 5.5) == 0
    assert bursts.counted("full", 5.0 + BURST_S) == 2
    assert bursts.counted("full", 5.0 + 2 * BURST_S) == 0
