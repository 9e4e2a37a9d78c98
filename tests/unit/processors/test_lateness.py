"""Lateness: one subtraction, and its edge belongs to the window."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.lateness import is_late, late_by_ms

FIRES_AT_MS = 1_767_225_600_000


@pytest.mark.parametrize(
    ("after_ms", "by_ms", "late"),
    [(0, -120_000, False), (119_999, -1, False), (120_000, 0, False), (120_001, 1, True), (7_320_000, 7_200_000, True)],
)
def test_the_last_millisecond_of_the_window_is_on_time(after_ms: int, by_ms: int, late: bool) -> None:  # noqa: FBT001
    """Late begins one millisecond after the window's end."""
    by = late_by_ms(FIRES_AT_MS + after_ms, FIRES_AT_MS, 120)

    assert by == by_ms
    assert is_late(by) is late


@given(
    st.integers(0, 4_102_444_800_000), st.integers(0, 4_102_444_800_000), st.integers(1, 3600), st.integers(0, 10**9)
)
def test_later_posts_are_later_by_exactly_that(received: int, fires: int, window_s: int, more: int) -> None:
    """Arithmetic stays in whole milliseconds: no rounding moves anybody over the edge."""
    assert late_by_ms(received + more, fires, window_s) - late_by_ms(received, fires, window_s) == more
