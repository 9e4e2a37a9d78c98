"""What an upload is charged, and whether it is slow, from both sides of each limit."""

import math

import pytest

from ingest.places import PATIENCE_S, SLOW_S_MAX, SLOW_S_MIN, UNSEEN_BYTES, Place, Usual, slow_s

MIB = 1024 * 1024


def place(length: int = 20 * MIB, *, received: int = 0, **more: bool) -> Place:
    """An upload that began at 0."""
    made = Place("alice", length, 0.0, **more)
    made.received = made.held = received
    return made


@pytest.mark.parametrize(
    ("length", "received", "charged"),
    [(MIB, 0, MIB), (20 * MIB, 0, 2 * MIB), (20 * MIB, 3 * MIB, 6 * MIB), (20 * MIB, 15 * MIB, 20 * MIB)],
)
def test_an_upload_is_charged_for_what_it_will_soon_bring(length: int, received: int, charged: int) -> None:
    """Twice what is usual, then twice what came, never more than it announced."""
    assert place(length, received=received).charge(MIB) == charged


def test_who_is_slow_or_whole_is_charged_for_what_it_holds() -> None:
    """No more is expected of it."""
    slow, whole, used = place(received=5, slow=True), place(MIB, received=7), place(MIB)
    whole.whole, used.held = True, 2 * MIB

    assert (slow.charge(MIB), whole.charge(MIB), used.charge(MIB)) == (5, 7, 2 * MIB)


def test_nothing_is_said_of_a_pace_before_it_can_be_known() -> None:
    """Neither good nor bad: who was slow before stays so for the moment."""
    for slow in (False, True):
        young = place(slow=slow)
        assert young.left_s(PATIENCE_S - 0.01, MIB) == math.inf
        assert young.is_slow(PATIENCE_S - 0.01, math.inf, 1.0) is slow


def test_time_left_follows_from_what_came() -> None:
    """Half of it in ten seconds, what may wait on the way included: ten more."""
    half = place(2 * MIB, received=MIB - UNSEEN_BYTES)

    assert half.left_s(10.0, MIB) == pytest.approx(10.0)
    assert place(MIB, received=MIB).left_s(10.0, MIB) == 0.0


def test_who_announced_no_length_is_expected_to_bring_what_is_usual() -> None:
    """Not the most there may be."""
    chunked = place(received=MIB - UNSEEN_BYTES, announced=False)

    assert chunked.left_s(10.0, MIB) == pytest.approx(10.0)


def test_a_phone_on_a_weak_network_is_not_slow_and_an_attacker_is() -> None:
    """600 KB at 50 KB/s, in the pieces that a balancer sends; 20 MiB at 4.3 KB/s, and as little of it as that."""
    for now in (2.0, 4.0, 8.0, 11.0):
        phone = place(600_000, received=int(now * 50_000) // 32768 * 32768)
        assert not phone.is_slow(now, phone.left_s(now, MIB), 0.2)
    for length in (20 * MIB, 600_000):
        attacker = place(length, received=5 * 4300)
        assert attacker.is_slow(5.0, attacker.left_s(5.0, MIB), 0.2)


@pytest.mark.parametrize(("usual", "limit"), [(0.1, SLOW_S_MIN), (5.0, 40.0), (60.0, SLOW_S_MAX)])
def test_slow_is_many_times_what_is_usual(usual: float, limit: float) -> None:
    """Within a floor and a cap; exactly the limit is not slow."""
    assert slow_s(usual) == limit
    assert not place().is_slow(10.0, limit - 10.0, usual)
    assert place().is_slow(10.0, limit - 9.99, usual)


def test_what_is_usual_follows_the_middle_not_the_extremes() -> None:
    """Two of three take a second, one takes a thousand: about a second is usual."""
    usual = Usual(4.0)
    for _ in range(200):
        for value in (1.0, 1000.0, 1.0):
            usual.told(value)

    assert 0.9 < usual.value < 1.2


def test_shedding_tells_the_receiver_if_there_is_one() -> None:
    """Once it has begun to receive."""
    told: list[int] = []
    made = place()
    made.shed()
    made.on_shed = lambda: told.append(1)
    made.shed()

    assert told == [1]
    assert repr(made) == "<Place coming, 0/20971520 bytes, 0 charged>"
