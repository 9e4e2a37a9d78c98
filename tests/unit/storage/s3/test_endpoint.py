"""One endpoint: what a restart does to what is known of it."""

from storage.s3.endpoint import SETTLE_S, Endpoint


def test_what_was_never_away_has_settled() -> None:
    """Also after a connection broke: a server that was restarted does not answer at once."""
    one = Endpoint("http://minio:9000", None, 1.0)
    one.agrees = True
    one.lost(away=False)

    assert (one.agrees, one.breaks, one.settled(1000.0)) == (False, 1, True)


def test_what_was_away_settles_from_its_first_answer_on() -> None:
    """For so long and no less; another absence begins it anew."""
    one = Endpoint("http://minio:9000", None, 1.0)
    one.lost(away=True)

    assert not one.settled(1000.0)
    assert not one.settled(1000.0 + SETTLE_S - 0.1)
    assert one.settled(1000.0 + SETTLE_S)
    one.lost(away=True)
    assert not one.settled(1000.0 + SETTLE_S)
