"""An outage is told once when it begins and once when it is over."""

from ingest.outages import QUIET_S, Outage


def test_the_first_failure_is_told_and_the_first_success_after_a_quiet_time() -> None:
    """However many there are of both, and mixed as shards mix them."""
    outage = Outage()
    assert not outage.worked(0.0)
    assert [outage.failed(at) for at in (1.0, 2.0, 3.0)] == [True, False, False]
    assert not outage.worked(3.0 + QUIET_S)
    assert not outage.failed(13.0)
    assert [outage.worked(at) for at in (13.1 + QUIET_S, 14.0 + QUIET_S)] == [True, False]
    assert outage.failed(30.0)
