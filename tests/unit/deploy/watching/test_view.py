"""The values of the view."""

import pytest

from deploy.watching.view import Moment


@pytest.mark.parametrize(
    ("since_s", "phase"), [(-0.1, "before"), (0.0, "open"), (120.0, "open"), (120.1, "closed"), (9_999.0, "closed")]
)
def test_a_moment_is_open_for_its_window(since_s: float, phase: str) -> None:
    """Both ends belong to it."""
    assert Moment(id="m", region="eu", fires_at=1_000.0, closes_at=1_120.0, since_s=since_s).phase == phase
