"""lb.relay.pace: slow phones finish, tunnels are survived, trickles are cut."""

import pytest

from lb.relay.pace import CHECK_S, Pace

RATE = 4096


def pace() -> Pace:
    """With the default settings."""
    return Pace(grace_s=30, stall_s=30, rate=RATE)


def lasts(bytes_a_second: int, seconds: int) -> int:
    """Seconds until the pace is too slow, at most `seconds`."""
    made = pace()
    return next((second for second in range(seconds) if not made.charge(1.0, bytes_a_second)), seconds)


@pytest.mark.parametrize("rate", [8000, RATE])
def test_a_phone_at_the_rate_goes_on(rate: int) -> None:
    """125 seconds at 64 kbit/s are a megabyte; the least rate is enough for as long as it takes."""
    assert lasts(rate, 5000) == 5000


@pytest.mark.parametrize(("rate", "seconds"), [(0, 31), (1, 31), (RATE // 2, 62)])
def test_below_the_rate_a_body_is_cut_soon(rate: int, seconds: int) -> None:
    """After the grace, longer the nearer to the rate."""
    assert lasts(rate, 1000) == seconds


@pytest.mark.parametrize("before", [0, RATE, 1_500_000])
@pytest.mark.parametrize(("silence_s", "goes_on"), [(30.0, True), (30.0 + CHECK_S, True), (30.1 + CHECK_S, False)])
def test_a_silence_up_to_the_limit_ends_no_body(before: int, silence_s: float, goes_on: bool) -> None:  # noqa: FBT001
    """Whatever came before it; a longer one ends it, whatever came before."""
    made = pace()
    made.charge(1.0 if before else 0.0, before)

    assert made.charge(silence_s, 0) is goes_on


def test_silences_may_follow_each_other_while_the_average_holds() -> None:
    """A megabyte pays for eight tunnels with a byte between them."""
    made = pace()

    assert made.charge(1.0, 1_000_000)
    for _ in range(8):
        assert made.charge(30.0, 0)
        assert made.charge(1.0, 1)


def test_bytes_count_where_time_does_not() -> None:
    """Those of a second in which the node took nothing pay for later ones."""
    made = pace()
    made.charge(0.0, RATE * 100)

    assert made.charge(30.0, 0)
    made.charge(1.0, 1)
    assert made.charge(30.0, 0)


def test_what_is_told_is_what_was_measured() -> None:
    """Bytes, seconds, silence, and the limits."""
    made = pace()
    made.charge(3.0, 1234)
    made.charge(32.0, 0)

    assert str(made) == (
        "1234 bytes of the body came in 35 s, and none in the last 32 s. The limits are 4096 bytes a second on average "
        "after the first 30 s, and 30 s without a byte."
    )


@pytest.mark.parametrize(
    ("before", "silence_s", "slow"),
    [
        (0, 2.0, True),
        (0, 1.9, False),
        (1, 2.0, True),
        (1_500_000, 28.9, False),
        (1_500_000, 29.0, True),
    ],
)
def test_what_explains_a_408_of_a_node(before: int, silence_s: float, slow: bool) -> None:  # noqa: FBT001
    """A silence since the first moment, or one near the limit; another may be a tunnel."""
    made = pace()
    made.charge(1.0 if before else 0.0, before)
    if before > 1:
        made.charge(5.0, 1)
    made.charge(silence_s, 0)

    assert made.slow is slow


def test_a_body_near_the_least_rate_explains_a_408_too() -> None:
    """From a second before it would be cut; a fast one whose node stopped to read does not."""
    made = pace()
    for second in range(1, 32):
        assert made.charge(1.0, 1)
        assert made.slow is (second >= 30)
    stopped = pace()
    stopped.charge(1.0, 500_000)
    stopped.charge(0.0, 100)
    assert not stopped.slow
