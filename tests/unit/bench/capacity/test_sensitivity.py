"""Which input moves the answer most."""

import msgspec
import pytest

from bench.capacity.sensitivity import dearer, effects
from tests.unit.bench.capacity.measured import COSTS, burst, case


def test_the_answer_follows_the_pairs_one_to_one() -> None:
    """And nothing moves it more."""
    found = effects(case())
    assert found[0].input in {"pairs", "utilisation"}
    assert {one.input: one.percent for one in found}["pairs"] == pytest.approx(10.0)
    assert [abs(one.percent) for one in found] == sorted((abs(one.percent) for one in found), reverse=True)


def test_what_does_not_bind_does_not_move_the_answer() -> None:
    """The balancers' machines are bound by their network, so dearer CPU changes nothing there."""
    found = {one.input: one.percent for one in effects(case())}
    assert found["CPU of a balancer"] == 0.0
    assert found["CPU of a worker"] > 0


def test_the_push_is_compared_where_it_is_known() -> None:
    """And a store that is no tier of its own is left out."""
    found = {one.input: one.percent for one in effects(case(store="file"), burst())}
    assert found["push_s"] == 0.0
    assert "CPU of a store" not in found


def test_a_dearer_tier_costs_more_in_every_phase() -> None:
    """Fixed and per MB; what it has not stays so."""
    redis = dearer(COSTS.redis, 2.0)
    assert redis.drain is not None
    assert (redis.upload.fixed_ms, redis.drain.fixed_ms, redis.read) == (0.2, 0.8, None)
    assert msgspec.structs.replace(redis, upload=COSTS.redis.upload, drain=COSTS.redis.drain) == COSTS.redis
