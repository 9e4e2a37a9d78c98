"""lb.relay.pace: slow phones finish, trickles are cut."""

from lb.relay.pace import Pace


def lasts(bytes_a_second: int, seconds: int) -> int:
    """Seconds until the pace is too slow, at most `seconds`."""
    pace = Pace(grace_s=10, stall_s=30, rate=1000)
    return next((second for second in range(seconds) if not pace.charge(1.0, bytes_a_second)), seconds)


def test_a_64_kbit_phone_finishes_a_megabyte() -> None:
    """125 seconds at 8,000 bytes a second are fine."""
    assert lasts(8000, 125) == 125


def test_a_trickle_is_cut_soon() -> None:
    """One byte a second, or none, ends within 15 seconds."""
    assert lasts(1, 100) < 15
    assert lasts(0, 100) < 15


def test_the_shortest_settings_still_let_a_phone_through() -> None:
    """A stall of one second, looked at every second and a bit, cuts nobody who sends."""
    pace = Pace(grace_s=1, stall_s=1, rate=1000)

    assert all(pace.charge(1.01, 8000) for _ in range(100))


def test_credit_for_a_stall_is_earned_and_bounded() -> None:
    """After a megabyte at once a stall of 30 seconds is allowed, one of 31 is not."""
    pace = Pace(grace_s=10, stall_s=30, rate=1000)

    assert pace.charge(1.0, 1_000_000)
    assert pace.charge(30.0, 0)
    assert not pace.charge(1.0, 0)
