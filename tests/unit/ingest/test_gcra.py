"""The rate limit as arithmetic: bursts, recovery, and what a refused user is told."""

from hypothesis import given
from hypothesis import strategies as st

from ingest.gcra import Rate, decide, headers

RATE = Rate(burst=3, period_s=60)


def test_a_burst_passes_and_the_next_waits_for_one_interval() -> None:
    """Three at once, the fourth is told when."""
    tat, left = 0, []
    for _ in range(3):
        tat, decision = decide(tat, 1_000_000, RATE)
        left.append(decision.remaining)
    after, refused = decide(tat, 1_000_000, RATE)

    assert left == [2, 1, 0]
    assert not refused.allowed
    assert after == tat
    assert (refused.retry_after_s, refused.reset_s) == (20, 60)
    assert decide(tat, 1_019_999, RATE)[1].allowed is False
    assert decide(tat, 1_020_000, RATE)[1].allowed is True


@given(st.lists(st.integers(0, 30_000), max_size=60), st.integers(1, 10), st.integers(1, 100))
def test_no_window_ever_lets_more_through_than_twice_the_burst(gaps: list[int], burst: int, period_s: int) -> None:
    """In any period at most a burst and what it regains pass."""
    rate, tat, now, passed = Rate(burst, period_s), 0, 1_000_000, []
    for gap in gaps:
        now += gap
        tat, decision = decide(tat, now, rate)
        if decision.allowed:
            passed.append(now)
        else:
            assert decision.retry_after_s >= 1
    for start in passed:
        inside = [one for one in passed if start <= one < start + period_s * 1000]
        assert len(inside) <= 2 * burst + 1


def test_the_fields_name_the_policy_and_what_is_left() -> None:
    """Both RateLimit fields and Retry-After are there."""
    _, decision = decide(1_059_000, 1_000_000, RATE)

    assert headers(decision, RATE) == {
        "Retry-After": "19",
        "RateLimit-Policy": '"uploads";q=3;w=60',
        "RateLimit": '"uploads";r=0;t=59',
    }
