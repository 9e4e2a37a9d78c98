"""Attackers at one simulated node: uploads that announce a lot or send slowly do not exclude honest phones."""

import pytest

from tests.sim.crowd import BYTES, Crowd

MIB = 1 << 20
BUDGET = 200 * MIB
OFFERED = 30.0  # pairs a second, of 1 to 10 seconds each: they fill a quarter of the budget
PHONES = (1.0, 10.0)


def beside(accounts: int, uploads: int, *, length: int, rate: float, bytes_max: int = BUDGET) -> Crowd:
    """Run two minutes of honest phones, with the attackers already present."""
    crowd = Crowd(send_s=PHONES, bytes_max=bytes_max)
    if accounts:
        crowd.attack(accounts, uploads, length=length, rate=rate)
    crowd.offered = OFFERED
    crowd.run(120)
    print(f"displaced {crowd.displaced}, shed {crowd.shed.total()}")  # noqa: T201 - pytest shows it when the test fails
    return crowd


@pytest.mark.parametrize(
    ("accounts", "uploads", "length", "rate"),
    [
        (56, 8, 20 * MIB, 4_300.0),  # the attack as it was first found
        (500, 4, 20 * MIB, 4_300.0),
        (500, 4, BYTES, 4_300.0),  # each upload announces an ordinary pair's length
        (500, 4, 20 * MIB, 20_000.0),  # 40 MB/s in total
        (2000, 1, MIB, 5_000.0),
    ],
)
def test_attackers_do_not_keep_honest_phones_out(accounts: int, uploads: int, length: int, rate: float) -> None:
    """Honest goodput is at least 90 % of that without attackers, and no honest upload in progress is displaced."""
    control = beside(0, 0, length=0, rate=0)
    attacked = beside(accounts, uploads, length=length, rate=rate)

    assert attacked.goodput(10, 120) >= 0.9 * control.goodput(10, 120)
    assert attacked.displaced[True] <= 0.01 * attacked.committed.total()
    assert attacked.held_most <= BUDGET


def test_a_ticket_does_not_lift_attackers() -> None:
    """Accounts known to be slow may use 70 % of the budget when they return, not all of it."""
    attacked = beside(500, 4, length=20 * MIB, rate=4_300.0)
    slow = [one for one in attacked.uploads.values() if not one.honest]

    assert attacked.displaced[False] > 100
    assert attacked.goodput(100, 120) >= 0.95 * OFFERED
    assert sum(one.place.charged for one in slow if one.place) <= 0.7 * BUDGET


def test_a_crowd_of_honest_phones_loses_nothing_that_is_under_way() -> None:
    """With three times as many slow phones as memory allows, the excess is refused at the head, not during the body."""
    crowd = Crowd(send_s=(20.0, 40.0), bytes_max=500 * BYTES)
    crowd.offered = 50
    crowd.run(90)

    assert crowd.shed.total() > 1000
    assert crowd.displaced.total() == 0
    assert crowd.goodput(45, 90) >= 0.9 * 450 / 30


def test_phones_on_a_weak_network_go_on_as_long_as_there_is_room() -> None:
    """Phones at 8 KB/s are not displaced by fast phones while memory is available."""
    crowd = Crowd(send_s=(0.5, 1.0), bytes_max=BUDGET)
    crowd.offered = 30
    crowd.run(10)
    before = crowd.committed.total()
    crowd.attack(100, 1, length=BYTES, rate=8_000.0)
    crowd.run(100)

    assert crowd.displaced.total() == 0
    assert crowd.committed.total() - before >= 0.95 * 100 * 30
