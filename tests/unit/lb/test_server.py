"""lb.server: composition; the running process is tested in tests/e2e/test_lb_*.py."""

from lb.config import Config
from lb.server import Options, placement


def test_options_and_settings_make_the_placement() -> None:
    """Checks are on when a path is given; ring and bound come from the settings."""
    config = Config(ring_slots=2048, bound_percent=150, check_rise=3)
    options = Options(listen=("127.0.0.1", 0), admin=None, nodes=[], hash_on="uri", policy="ring", check="/readyz")
    made = placement(config, options)

    assert (made.slots, made.bound.factor, made.thresholds.rise, made.checked) == (2048, 150, 3, True)
