"""lb.faults: failures are counted by user."""

from lb.faults import KEYS_MAX, WINDOW_S, Faults


def test_several_users_make_a_node_guilty() -> None:
    """Not one user many times; and only while such answers are half of all."""
    faults = Faults(3)
    assert not any(faults.failed(b"a", 1.0) for _ in range(50))
    assert not faults.failed(b"b", 1.0)
    faults.good = 100
    assert not faults.failed(b"c", 1.0)
    faults.good = 50
    assert faults.failed(b"d", 1.0)
    assert not faults.failed(b"e", 1.0)


def test_old_failures_are_forgotten() -> None:
    """Three within a window, not three in a day."""
    faults = Faults(3)

    assert not any(faults.failed(b"%d" % number, number * WINDOW_S) for number in range(1, 50))


def test_each_user_breaks_a_connection_once_a_window() -> None:
    """And no more users are remembered than prove a thing."""
    faults = Faults(3)
    assert [faults.reset(key, 1.0) for key in (b"a", b"a", b"b")] == [True, False, True]
    assert faults.reset(b"a", 1.0 + WINDOW_S)
    counted = sum(faults.reset(b"%d" % number, 2.0 + WINDOW_S) for number in range(1000))
    assert counted == KEYS_MAX - 1
