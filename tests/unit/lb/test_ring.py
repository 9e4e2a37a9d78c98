"""lb.ring: properties of the consistent hash."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lb.ring import Ring

UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # no test asserts a duration

KEYS = [b"user-%d" % number for number in range(2000)]
members = st.dictionaries(st.text("abcdefgh0123", min_size=1, max_size=6), st.integers(1, 3), min_size=2, max_size=8)


def ring(weights: dict[str, int], seed: bytes = b"seed") -> Ring:
    """A small ring."""
    return Ring(weights.items(), seed=seed, vnodes=64)


def home(of: Ring, key: bytes) -> str:
    """The first of the key's order."""
    return next(of.order(key))


@UNHURRIED
@given(members, st.randoms())
def test_the_order_of_members_does_not_matter(weights: dict[str, int], shuffle) -> None:  # noqa: ANN001
    """Two balancers given the same members in any order agree on every key's whole order."""
    listed = list(weights.items())
    shuffle.shuffle(listed)

    one, other = ring(weights), ring(dict(listed))
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


def test_a_dead_members_keys_spread_over_all_survivors() -> None:
    """The second choices of one member's keys are all the others, none with much more than its part."""
    found = Ring([(f"n{number}", 1) for number in range(6)], seed=b"s", vnodes=512)
    second = [next(name for name in found.order(key) if name != "n0") for key in KEYS if home(found, key) == "n0"]

    counts = [second.count(f"n{number}") for number in range(1, 6)]
    assert min(counts) > 0.5 * len(second) / 5
    assert max(counts) < 1.6 * len(second) / 5


def test_shares_are_fair_and_follow_weights() -> None:
    """With the default points the largest share of five is within a tenth of the mean, weight two is double."""
    shares = Ring([(f"n{number}", 1) for number in range(5)], seed=b"s", vnodes=512).shares()
    heavy = Ring([("a", 1), ("b", 2)], seed=b"s", vnodes=512).shares()

    assert abs(sum(shares.values()) - 1) < 1e-9
    assert max(shares.values()) < 0.2 * 1.1
    assert 1.8 < heavy["b"] / heavy["a"] < 2.2


def test_the_seed_is_a_key() -> None:
    """Another seed, also one longer than BLAKE2b takes, places users elsewhere."""
    weights = {"a": 1, "b": 1, "c": 1}
    one, other = ring(weights, b"1"), ring(weights, b"2" * 100)

    assert sum(home(one, key) != home(other, key) for key in KEYS) > len(KEYS) / 2


def test_an_empty_ring_has_no_order() -> None:
    """No members or no weight: nobody is home."""
    assert list(Ring([], seed=b"", vnodes=8).order(b"k")) == []
    assert list(Ring([("a", 0)], seed=b"", vnodes=8).order(b"k")) == []
    assert Ring([], seed=b"", vnodes=8).shares() == {}
