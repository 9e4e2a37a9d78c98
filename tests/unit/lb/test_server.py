"""lb.server: composition; the running process is tested in tests/e2e/test_lb_*.py."""

from lb.config import Config
from lb.server import Options, placement, url


def test_options_and_settings_make_the_placement() -> None:
    """Checks are on when a path is given; ring and bound come from the settings."""
    config = Config(ring_slots=2048, bound_percent=150, check_rise=3)
    options = Options(listen=("127.0.0.1", 0), admin=None, nodes=[], hash_on="uri", policy="ring", check="/readyz")
    made = placement(config, options)

    assert (made.slots, made.bound.factor, made.thresholds.rise, made.checked) == (2048, 150, 3, True)


def test_addresses_are_shown_as_urls() -> None:
    """IPv6 gets its brackets."""
    assert url(("127.0.0.1", 80)) == "http://127.0.0.1:80"
    assert url(("::1", 80)) == "http://[::1]:80"
