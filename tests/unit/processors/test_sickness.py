"""When a worker rests: two posts, no success between, longer each time, one probe after each rest."""

from processors.sickness import REST_MAX_S, REST_MIN_S, Sickness


def test_one_post_makes_no_worker_sick() -> None:
    """However often it fails; and a success between two posts clears the first."""
    health = Sickness()
    assert [health.failed("x", float(n)) for n in range(9)] == [0.0] * 9
    assert not health.succeeded()
    health.failed("y", 10.0)
    assert (health.sick, health.room(2, 0, 10.0), health.wait_s(10.0)) == (False, 2, 0.0)


def test_two_posts_do_and_each_probe_that_fails_doubles_the_rest() -> None:
    """Up to the bound; what ends in the midst of a rest does not prolong it."""
    health, now, rests = Sickness(), 0.0, []
    health.failed("x", now)
    for _ in range(8):
        rests.append(health.failed("y", now))
        assert health.failed("x", now + rests[-1] / 2) == 0.0
        now += rests[-1]
    assert rests == [REST_MIN_S * 2**n for n in range(5)] + [REST_MAX_S] * 3


def test_after_a_rest_one_job_is_claimed() -> None:
    """None before, and none beside the probe; then as many as there are slots, if the probe succeeds."""
    health = Sickness()
    health.failed("x", 0.0)
    health.failed("y", 0.0)
    assert (health.room(2, 0, REST_MIN_S / 2), health.wait_s(REST_MIN_S / 2)) == (0, REST_MIN_S / 2)
    assert (health.room(2, 0, REST_MIN_S), health.room(1, 1, REST_MIN_S), health.wait_s(REST_MIN_S)) == (1, 0, 0.0)
    assert health.succeeded()
    assert (health.sick, health.room(2, 0, REST_MIN_S)) == (False, 2)
    health.failed("x", 9.0)
    assert health.failed("y", 9.0) == REST_MIN_S
