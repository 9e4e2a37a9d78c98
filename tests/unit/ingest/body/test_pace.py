"""ingest.body.pace: the two limits of a body, from both sides."""

from ingest.body.pace import Pace


def pace() -> Pace:
    """A body that is due since second 100."""
    return Pace(100.0, grace_s=45, stall_s=45, rate=4096)


def test_a_silence_may_last_as_long_as_the_limit_at_any_time() -> None:
    """Its clock starts at the last byte, and no number of bytes before it makes it longer."""
    made = pace()
    assert made.due() == 145.0
    made.moved(120.0, 10_000_000)
    assert made.due() == 165.0
    made.moved(150.0, 10_000_000)
    assert made.due() == 165.0
    made.moved(160.0, 10_000_001)
    assert made.due() == 205.0


def test_bytes_buy_time_at_the_rate() -> None:
    """A trickle ends when the average is below the rate, however often a byte comes."""
    made = pace()
    for second in range(101, 200):
        made.moved(float(second), second - 100)
    assert made.due() == 145 + 99 / 4096
    made.moved(200.0, 4096 * 70)
    assert made.due() == 215.0


def test_seconds_in_which_the_node_did_not_run_are_not_charged() -> None:
    """Both limits move."""
    made = pace()
    made.moved(101.0, 1)
    made.pardon(10.0)

    assert made.due() == 155 + 1 / 4096


def test_what_is_told_is_what_was_measured() -> None:
    """Bytes, seconds, silence, and the limits."""
    made = pace()
    made.moved(110.0, 1234)

    assert made.told(146.0) == (
        "1234 bytes of the body came in 46 s, and none in the last 36 s; the limits are 4096 bytes a second on average "
        "after the first 45 s, and 45 s without a byte"
    )
