"""Another burst made of one: more users, more bytes, another push."""

import math
import random

import msgspec
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bench.traces.columns import NO_BREAK, Columns
from bench.traces.lines import BYTES_MAX
from bench.traces.synthesis import Shape, columns
from bench.traces.transformation import Change, TransformError, transform


def burst(posters: int = 200, **more: float) -> Columns:
    """A synthetic burst."""
    return columns(Shape(posters=posters, **more), random.Random(1))


def changed(found: Columns, seed: int = 1, **asked: float) -> Columns:
    """The other burst."""
    return transform(found, Change(**asked), np.random.default_rng(seed))[0]


def equal(one: Columns, two: Columns) -> bool:
    """Whether all columns are."""
    return all(np.array_equal(getattr(one, name), getattr(two, name)) for name in one.__struct_fields__)


@settings(deadline=None, max_examples=6)
@given(st.floats(0.01, 5), st.floats(0.01, 5), st.none() | st.floats(0, 600), st.integers(0, 2**32))
def test_any_change_gives_a_burst(users: float, size: float, push_s: float | None, seed: int) -> None:
    """Sorted, of distinct users, exactly as many as asked for, with the uplinks of the trace; a seed repeats it."""
    assume((users, size, push_s) != (1, 1, None))
    found, asked = burst(), Change(users=users, bytes=size, push_s=push_s, fanout_s=5.0)
    made, again = (transform(found, asked, np.random.default_rng(seed))[0] for _ in range(2))

    assert made.count == round(200 * users)
    assert (np.diff(made.t) >= 0).all()
    assert made.t[0] >= 0
    assert len(set(made.u.tolist())) == made.count
    assert set(made.up.tolist()) <= set(found.up.tolist())
    assert equal(made, again)


def test_twice_the_users_is_each_of_them_twice() -> None:
    """A copy is a quarter of a second away at most, of the same sizes and uplink; nobody is moved."""
    found = burst()
    made = changed(found, users=2)
    known = np.isin(made.u, found.u)

    assert equal(made.where(known), found)
    assert np.max(np.abs(np.sort(made.t[~known]) - found.t)) <= 250_000
    assert sorted(made.f.tolist()) == sorted([*found.f.tolist(), *found.f.tolist()])
    assert not equal(made, changed(found, seed=2, users=2))


def test_fewer_users_are_a_sample() -> None:
    """Of the same rows."""
    found = burst()
    made = changed(found, users=0.25)

    assert made.count == 50
    assert equal(made, found.where(np.isin(found.u, made.u)))


def test_bytes_are_scaled_and_uplinks_are_not() -> None:
    """So that an upload takes longer; a photo keeps a byte, and none is larger than a row may say."""
    found = burst()
    made = changed(found, bytes=1.5)

    assert np.array_equal(made.f, np.rint(found.f * 1.5))
    assert np.array_equal(made.up, found.up)
    assert np.array_equal(made.t, found.t)
    assert changed(found, bytes=1e-9).f.tolist() == [1] * 200
    largest = int(max(found.f.max(), found.b.max()))
    with pytest.raises(TransformError, match="a photo would have"):
        changed(found, bytes=(BYTES_MAX + 1) / largest)
    assert changed(found, bytes=BYTES_MAX / largest).count == 200


@pytest.mark.parametrize(("before_s", "after_s"), [(240.0, 20.0), (5.0, 240.0), (240.0, 0.0)])
def test_another_push_is_the_burst_that_it_would_have_made(before_s: float, after_s: float) -> None:
    """Its distribution is that of a burst made with the other push; reactions are as long as they were."""
    found, wanted = burst(8000, fanout_s=before_s), columns(Shape(posters=8000, fanout_s=after_s), random.Random(2))
    made, fit = transform(found, Change(push_s=after_s), np.random.default_rng(1))
    upto = np.searchsorted(made.t, wanted.t) / made.count

    assert fit is not None
    assert fit.arrivals.fanout_s == pytest.approx(before_s, rel=0.02, abs=5)
    assert np.max(np.abs(upto - np.arange(wanted.count) / wanted.count)) < 0.06
    assert sorted(made.u.tolist()) == sorted(found.u.tolist())


def test_the_order_of_the_push_stays() -> None:
    """A user who was notified late before is notified late again: the ranks of the two bursts agree."""
    found = burst(4000, fanout_s=480.0)
    made = changed(found, push_s=240)
    before, after = (dict(zip(one.u.tolist(), range(4000), strict=True)) for one in (found, made))
    users = found.u.tolist()

    assert np.corrcoef([before[user] for user in users], [after[user] for user in users])[0, 1] > 0.95


def test_arrivals_that_are_no_burst_have_no_push_to_replace() -> None:
    """Two waves are refused, unless the push is known; too few arrivals are refused as well."""
    one = burst(1000, sigma=0.3)
    waves = Columns.first(
        np.concatenate([one.t, one.t + 200 * 10**6]),
        *(np.tile(getattr(one, name), 2) for name in ("u", "f", "b", "up")),
    )
    with pytest.raises(TransformError, match="do not fit one even push"):
        changed(waves, push_s=30)
    assert changed(waves, push_s=30, fanout_s=200).count == 2000
    with pytest.raises(TransformError, match="at least 50 arrivals"):
        changed(burst(49), push_s=30)


def test_retries_and_answers_stay_behind() -> None:
    """They belong to the day that was recorded."""
    found = burst()
    found.s[:] = 503
    found.n[:50] = 2
    made = changed(found, bytes=2)

    assert made.count == 150
    assert set(made.s.tolist()) == {0}
    assert set(made.n.tolist()) == {1}


@pytest.mark.parametrize("asked", [{"users": 0.001}, {"users": 1e6}])
def test_nobody_and_everybody_are_no_bursts(asked: dict[str, float]) -> None:
    """The number of users has its limits."""
    with pytest.raises(TransformError, match="users"):
        changed(burst(), **asked)


@pytest.mark.parametrize(
    "asked",
    [
        *({}, {"fanout_s": 3}, {"users": 0}, {"users": -1}, {"bytes": math.nan}, {"users": math.inf}),
        *({"push_s": -1}, {"push_s": math.nan}, {"push_s": 3, "fanout_s": -1}),
    ],
)
def test_what_is_no_change_is_refused(asked: dict[str, float]) -> None:
    """Nothing, or what is no factor."""
    with pytest.raises(TransformError):
        Change(**asked)


def test_breaks_stay_at_their_share_of_the_bytes() -> None:
    """With their pauses, for copies of users too; of those that fall together one is left, and each ends an upload."""
    found = burst(3)
    sizes = (found.f + found.b)[:, np.newaxis]
    table = np.array([[0, 1], [100_000, NO_BREAK], [NO_BREAK, NO_BREAK]])
    table[2] = sizes[2] - [2, 1]
    broken = msgspec.structs.replace(found, d=table, p=np.array([[1, 2], [3, NO_BREAK], [4, 5]]))
    made = changed(broken, bytes=2)
    less = changed(broken, bytes=0.3)
    twice = changed(broken, users=2)

    assert made.d[:2].tolist() == [[0, 2], [pytest.approx(200_000, abs=2), NO_BREAK]]
    assert np.array_equal(made.p, broken.p)
    assert less.d[0].tolist() == [0, NO_BREAK]
    assert less.p[0].tolist() == [1, NO_BREAK]
    assert (less.d < (less.f + less.b)[:, np.newaxis]).all()
    assert sorted(map(tuple, twice.p.tolist())) == sorted(2 * [tuple(line) for line in broken.p.tolist()])
