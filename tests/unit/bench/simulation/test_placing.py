"""Placement over arrays chooses as `lb/placement/fleet.py`, asked request by request."""

import random

import pytest

from bench.simulation import placing
from bench.simulation.building import copy_health
from bench.simulation.world import NOBODY
from lb.placement.health import Event
from lb.placement.policy import Refuse
from tests.unit.bench.simulation.simulated import fleet, play, poisson


@pytest.mark.parametrize("nodes", [1, 2, 3, 12])
def test_placement_over_arrays_chooses_as_the_fleet(nodes: int) -> None:
    """Full nodes, dead ones, one that starts slowly, refusals that a ticket names, and all of them again."""
    rng, users = random.Random(nodes), 300
    made = play(poisson(100, users), of=fleet(nodes=nodes, settings={"SNAPSURGE_LB_BOUND_FLOOR_BYTES": "400000"})).made
    w, real, now = made.world, made.placement, 1.0
    names = list(real.nodes)
    taken: list[tuple[int, int]] = []
    seen = set()
    for _ in range(1500):
        now += 0.02
        real.tick(now)
        if rng.random() < 0.02:
            node = real.nodes[rng.choice(names)]
            real.note(node, rng.choice((Event.REFUSED, Event.RESTED, Event.RESTED)), now)
        copy_health(w, real)
        i = rng.randrange(users)
        size, key = int(w.users["bytes"][i]), f"u{i}".encode()
        refused = int(w.users["refused"][i])
        chosen = real.place(key, (), size, refused)
        expected = NOBODY if isinstance(chosen, Refuse) else names.index(chosen.member.id)
        n = placing.place(w, 0, i)
        assert n == expected
        seen.add((n, refused))
        if n != NOBODY:
            assert not isinstance(chosen, Refuse)
            real.acquire(chosen, size)
            placing.take(w, 0, n, size, 1)
            taken.append((n, size))
            if rng.random() < 0.3:
                placing.note_refusal(w, i, n)
                assert int(w.users["refused"][i]) == real.noted(key, chosen, refused)
        if len(taken) > 8 * nodes:
            n, size = taken.pop(rng.randrange(len(taken)))
            real.release(real.nodes[names[n]], size)
            placing.take(w, 0, n, size, -1)
    assert len(seen) > nodes


def test_the_whole_order_is_that_of_the_ring() -> None:
    """All places of a slot's order, and the first eight alone."""
    made = play(poisson(100, 40), of=fleet(nodes=12)).made
    for slot in range(40):
        order = made.placement._ring._scoring.order(slot)
        placing.fill_order(made.world, slot, 12)
        assert made.world.order.tolist() == order
        placing.fill_order(made.world, slot, 8)
        assert made.world.order[:8].tolist() == order[:8]
