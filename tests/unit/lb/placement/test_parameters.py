"""lb.placement.parameters: the value that says how nodes are chosen."""

from lb.placement.health import Thresholds
from lb.placement.parameters import Placement
from lb.placement.policy import Bound


def test_what_is_not_said_is_as_the_settings_have_it() -> None:
    """The defaults are those of the settings, so that a simulation is like the real thing."""
    made = Placement(policy="ring", seed=b"", slots=1024, bound=Bound(125, 1), thresholds=Thresholds(), checked=True)

    assert (made.slow_start_s, made.faulty_users, made.retry_percent, made.retry_floor) == (10, 5, 20, 3)
    assert made.request_bytes == 16384
