"""The bounds on PUTs and uploads in flight, step by step; `tests/sim/test_overload.py` has them at work."""

import math

import pytest

from ingest.commits import (
    GROWTH,
    IN_FLIGHT_MIN,
    PROBE_S,
    PUTS_FIRST,
    PUTS_MAX,
    PUTS_MIN,
    RECEIVE_WEIGHT,
    SAMPLES_MIN,
    SILENCE_S,
    STALL_S,
    Commits,
)


class Store:
    """Windows of PUTs that all take the same time."""

    def __init__(self) -> None:
        self.commits, self.now = Commits(), 1000.0

    def window(self, seconds: float, *, waiting: int = 0, full: bool = True, committed: bool = True) -> None:
        """One window: as many PUTs as may be begin, or five; five of them end after so long."""
        commits = self.commits
        for _ in range(int(commits.puts_max) if full else 5):
            commits.began(self.now)
        self.now += max(seconds, 0.5)
        for _ in range(min(commits.under_way, SAMPLES_MIN)):
            commits.ended(self.now, seconds, waiting=waiting, committed=committed)
        while commits.under_way:
            commits.left()


@pytest.fixture
def store() -> Store:
    """Of which nothing is known yet."""
    return Store()


def test_puts_grow_while_the_store_answers_in_time(store: Store) -> None:
    """By the square root a window, up to the client's connections; but only when all were used."""
    store.window(0.1, full=False)
    assert store.commits.puts_max == PUTS_FIRST
    store.window(0.1)
    assert store.commits.puts_max == PUTS_FIRST + math.sqrt(PUTS_FIRST)
    for _ in range(30):
        store.window(0.1)
    assert store.commits.puts_max == PUTS_MAX


def test_puts_shrink_when_the_store_answers_late(store: Store) -> None:
    """By half a window at most, and never below four."""
    store.window(0.1, full=False)
    store.window(3.0)
    assert store.commits.puts_max == PUTS_FIRST / 2 + math.sqrt(PUTS_FIRST)
    for _ in range(15):
        store.window(1.0)
    assert PUTS_MIN <= store.commits.puts_max < PUTS_MIN + 0.5
    assert repr(store.commits) == f"<Commits 0/{PUTS_MIN} PUTs, {store.commits.rate:.0f}/s>"


def test_the_unloaded_time_falls_when_the_store_became_faster(store: Store) -> None:
    """Its fastest window under load is the unloaded time from then on."""
    store.window(1.0, full=False)
    store.window(0.1)
    before = store.commits.puts_max
    store.window(1.0)

    assert store.commits.puts_max < before


def probing(store: Store) -> Store:
    """The store under load for so long that its unloaded time is measured, with a quarter of the PUTs."""
    store.window(0.1, full=False)
    for _ in range(100):
        store.window(0.3)
        if store.commits.puts_max == PUTS_MAX / 4:
            return store
    raise AssertionError("the unloaded time was not measured again")


def test_the_unloaded_time_is_measured_again(store: Store) -> None:
    """After twenty seconds under load, with a quarter of the PUTs; then as many as before are allowed.

    The time that was measured counts from then on: PUTs that take no longer lower nothing.
    """
    probing(store)
    assert store.now - 1000.0 > PROBE_S
    for _ in range(2):
        store.window(1.0)
        assert store.commits.puts_max == PUTS_MAX


def test_puts_that_began_under_load_do_not_measure_the_unloaded_time(store: Store) -> None:
    """PUTs that end during the measurement but began before it waited behind the others."""
    commits = probing(store).commits
    for _ in range(SAMPLES_MIN):
        commits.began(store.now)
    store.now += 0.6
    for _ in range(SAMPLES_MIN):
        commits.ended(store.now, 5.0, waiting=1)

    assert commits.puts_max == PUTS_MAX / 4


def test_silence_during_the_measurement_is_not_undone_by_its_end(store: Store) -> None:
    """The limit that was halved does not return to its value before the measurement."""
    commits = probing(store).commits
    for _ in range(SAMPLES_MIN):
        commits.began(store.now)
    commits.stalled(store.now + SILENCE_S + 0.1)
    store.now += 2.0
    for _ in range(SAMPLES_MIN):
        commits.ended(store.now, 2.0, waiting=1)

    assert commits.puts_max < PUTS_MAX / 4


def test_one_slow_body_changes_the_time_to_receive_little(store: Store) -> None:
    """The first body sets the estimate; each further one moves it by a twentieth of the difference."""
    store.commits.rate, store.commits.growth = 100.0, 1.0
    store.commits.received(2.0)
    store.commits.received(12.0)

    assert store.commits.in_flight_max(0.0) == pytest.approx(100.0 * (2.0 + 10.0 * RECEIVE_WEIGHT))


def test_a_window_that_had_no_waiting_body_at_one_moment_had_no_queue(store: Store) -> None:
    """So uploads in flight are not limited yet."""
    for _ in range(SAMPLES_MIN):
        store.commits.began(store.now)
    store.now += 0.6
    for number in range(SAMPLES_MIN):
        store.commits.ended(store.now, 0.6, waiting=number)

    assert store.commits.growth == math.inf


def test_uploads_in_flight_are_unbounded_until_bodies_wait(store: Store) -> None:
    """Then rate x (time to receive + wait), at least eight; it grows by half while it refuses some and none waits."""
    store.commits.received(2.0)
    store.window(0.5)
    assert store.commits.in_flight_max(1.0) == math.inf
    store.window(0.5, waiting=1)
    rate = store.commits.rate
    assert store.commits.in_flight_max(1.0) == rate * 3.0
    assert store.commits.in_flight_max(-2.0) == IN_FLIGHT_MIN
    store.window(0.5)
    assert store.commits.growth == 1.0
    store.commits.refused(by_bound=True)
    store.commits.refused(by_bound=False)
    store.window(0.5)
    assert store.commits.growth == GROWTH


def test_the_rate_falls_only_when_there_was_enough_to_do(store: Store) -> None:
    """An idle node keeps its rate; with bodies waiting, or after a refusal, a lower rate means a slower store."""
    store.window(0.5)
    busy = store.commits.rate
    store.window(0.8)
    assert store.commits.rate == busy
    store.commits.refused(by_bound=False)
    store.window(0.8)
    assert store.commits.rate < busy
    slower = store.commits.rate
    store.window(0.5, waiting=3, committed=False)
    assert store.commits.rate < slower


def test_an_idle_time_does_not_lower_the_rate(store: Store) -> None:
    """After an idle time the window begins again with the next PUT."""
    store.window(0.5, waiting=1)
    rate = store.commits.rate
    store.now += 3600
    store.window(0.5, waiting=1)
    assert store.commits.rate > rate / 2


def test_silence_halves_the_puts_before_any_has_ended() -> None:
    """Once a second, down to four; a store that became slow shows it so before it answers anything."""
    commits = Commits()
    for _ in range(PUTS_FIRST):
        commits.began(100.0)
    bounds = []
    for tenths in range(1, 45):
        commits.stalled(100.0 + tenths / 10)
        bounds.append(commits.puts_max)

    assert bounds[8] == PUTS_FIRST
    assert bounds[12] == PUTS_FIRST / 2
    assert bounds[-1] == PUTS_MIN


def test_silence_halves_the_puts_in_progress_not_the_limit() -> None:
    """With a limit of 128 and 20 PUTs in progress, the new limit is 10."""
    commits = Commits()
    commits.puts_max = float(PUTS_MAX)
    for _ in range(20):
        commits.began(100.0)
    commits.stalled(100.1 + SILENCE_S)

    assert commits.puts_max == 10


def test_a_hanging_store_is_noticed() -> None:
    """PUTs under way and none ended for longer than five seconds; with none under way there is nothing to notice."""
    commits = Commits()
    assert not commits.stalled(10 * STALL_S)
    commits.began(100.0)
    assert not commits.stalled(100.0 + STALL_S)
    assert commits.stalled(100.1 + STALL_S)
    commits.left()
    assert not commits.stalled(100.1 + STALL_S)


def test_a_store_that_cannot_write_is_not_taken_for_a_slow_one(store: Store) -> None:
    """Silence halves the bound once a second, until the store says that it takes nothing: then the bound is as before.

    Silence that ends with an answer did mean load.
    """
    for excused in (True, False):
        commits = Commits()
        for _ in range(PUTS_FIRST):
            commits.began(store.now)
        for second in (1.1, 2.2):
            assert not commits.stalled(store.now + second)
        assert commits.puts_max == PUTS_FIRST / 4
        for number in range(PUTS_FIRST):
            if excused:
                commits.void(store.now + 2.5)
            else:
                commits.ended(store.now + 2.5, 2.5, waiting=0, committed=number > 0)
        assert commits.under_way == 0
        assert (commits.puts_max == PUTS_FIRST) is excused
        assert not commits.stalled(store.now + 2.5 + STALL_S)
