"""lb.placement.ring: properties of the consistent hash."""

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lb.config import Config
from lb.placement.ring import Ring
from lb.placement.slots import MEMBERS_MAX

UNHURRIED = settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow]
)  # no test asserts a duration

KEYS = [b"user-%d" % number for number in range(2000)]
SLOTS = Config().ring_slots
members = st.dictionaries(st.text("abcdefgh0123", min_size=1, max_size=6), st.integers(1, 100), min_size=2, max_size=8)


def ring(weights: dict[str, int], seed: bytes = b"seed", slots: int = 1024) -> Ring:
    """A small ring."""
    return Ring(weights.items(), seed=seed, slots=slots)


def home(of: Ring, key: bytes) -> str:
    """The first of the key's order."""
    return next(of.order(key))


@UNHURRIED
@given(members, st.randoms())
def test_the_order_of_members_does_not_matter(weights: dict[str, int], shuffle: random.Random) -> None:
    """Two balancers given the same members in any order agree on every key's whole order."""
    listed = list(weights.items())
    shuffle.shuffle(listed)

    one, other = ring(weights), ring(dict(listed))
    assert (one.table == other.table).all()
    for key in KEYS[:50]:
        assert list(one.order(key)) == list(other.order(key))


@UNHURRIED
@given(members, st.data())
def test_a_leaving_member_moves_only_its_own_keys(weights: dict[str, int], data: st.DataObject) -> None:
    """The order of every key without the leaver is the old order with the leaver struck out."""
    leaver = data.draw(st.sampled_from(sorted(weights)))
    before = ring(weights)
    after = ring({name: weight for name, weight in weights.items() if name != leaver})

    for key in KEYS[:50]:
        assert list(after.order(key)) == [name for name in before.order(key) if name != leaver]
    assert {old for old, _ in before.moved(after)} <= {leaver}


@UNHURRIED
@given(members, members)
def test_a_ring_made_from_another_is_the_same_ring(one: dict[str, int], other: dict[str, int]) -> None:
    """Whatever joined, left or was re-weighed, the short way and the long way give one table."""
    fresh = ring(other)
    changed = Ring(other.items(), seed=b"seed", slots=1024, before=ring(one))

    assert (changed.table == fresh.table).all()
    assert changed.shares == fresh.shares


@UNHURRIED
@given(members, st.data())
def test_a_heavier_member_only_takes(weights: dict[str, int], data: st.DataObject) -> None:
    """Who is re-weighed upwards wins keys; no key moves between two others."""
    name = data.draw(st.sampled_from(sorted(weights)))
    moved = ring(weights).moved(ring(weights | {name: weights[name] + data.draw(st.integers(1, 50))}))

    assert {new for _, new in moved} <= {name}


@pytest.mark.parametrize("count", [3, 5, 10, 50, 200])
def test_shares_are_even_and_a_leavers_keys_spread(count: int) -> None:
    """With the slots of the settings no share is over the mean by more than 5 %, also after one left.

    The keys that moved are spread within 10 % where there are enough slots for a mean to mean something: a survivor
    of 50 gets 850 of them, one of 200 only 53, with a deviation of its square root.
    """
    names = {f"n{number}": 1 for number in range(count)}
    before = ring(names, b"snapsurge", SLOTS)
    after = Ring([(name, 1) for name in names if name != "n1"], seed=b"snapsurge", slots=SLOTS, before=before)
    moved = before.moved(after)
    mean = sum(moved.values()) / (count - 1)
    print(  # noqa: T201 - the figures, for `pytest -s`
        f"{count}: {max(before.shares.values()) * count:.4f}, after one left "
        f"{max(after.shares.values()) * (count - 1):.4f}, its keys {max(moved.values()) / mean:.3f}"
    )

    assert max(before.shares.values()) * count <= 1.05
    assert max(after.shares.values()) * (count - 1) <= 1.05
    assert {old for old, _ in moved} == {"n1"}
    assert sum(moved.values()) == round(before.shares["n1"] * SLOTS)
    assert len(moved) == count - 1
    assert max(moved.values()) / mean <= max(1.10, 1 + 5 / mean**0.5)


def test_shares_follow_weights() -> None:
    """Weights are parts of the whole, also very different ones."""
    weights = {"a": 1, "b": 2, "c": 100, "d": 7}
    shares = ring(weights, slots=1 << 20).shares

    assert abs(sum(shares.values()) - 1) < 1e-9
    for name, weight in weights.items():
        assert abs(shares[name] / (weight / 110) - 1) < 0.05


def test_keys_follow_the_shares() -> None:
    """Keys one by one land as the table says they will."""
    found = ring({"a": 1, "b": 3}, slots=4096)
    part = sum(home(found, key) == "b" for key in KEYS) / len(KEYS)

    assert abs(part - found.shares["b"]) < 0.05


def test_the_seed_is_a_key() -> None:
    """Another seed, also a very long one, places users elsewhere."""
    weights = {"a": 1, "b": 1, "c": 1}
    one, other = ring(weights, b"1"), ring(weights, b"2" * 100)

    assert sum(home(one, key) != home(other, key) for key in KEYS) > len(KEYS) / 2
    assert one.digest(b"k") != other.digest(b"k")


def test_an_empty_ring_has_no_order_and_a_full_one_no_room() -> None:
    """No members or no weight: nobody is home; more members than an index can tell are an error that says so."""
    assert list(ring({}).order(b"k")) == []
    assert list(ring({"a": 0}).order(b"k")) == []
    assert ring({}).shares == {}
    assert list(ring({"a": 1}).order(b"k")) == ["a"]
    with pytest.raises(ValueError, match="members on a ring for"):
        ring({str(number): 1 for number in range(MEMBERS_MAX + 1)})
