"""Phones of the simulation retry as `bench/client.py` says."""

import numpy as np
import pytest

from bench.client import wait_s
from bench.config import Config
from bench.simulation import phones
from bench.simulation.world import GIVEN_UP, IN_FLIGHT, PUT, REFUSED, SETTLED, TICK, TRIES, WAITING
from tests.unit.bench.simulation.simulated import costs, play, poisson


class Same:
    """The generator of compiled code, as the client's."""

    def uniform(self, a: float, b: float) -> float:
        """A uniform variate."""
        return np.random.uniform(a, b)  # noqa: NPY002 - the generator of compiled code


@pytest.mark.parametrize("asked", [0.0, 1.0, 7.0, 60.0, 900.0])
def test_a_phone_waits_as_it_is_asked_to(asked: float) -> None:
    """The same wait as the reference client's, with the same random number."""
    w = play(poisson(10, 3)).world
    phones.seed(5)
    ours = phones.asked_s(w, asked)
    phones.seed(5)
    assert ours == wait_s(Config(), 1, asked, Same())


@pytest.mark.parametrize("tries", [1, 2, 5])
def test_a_phone_without_an_answer_backs_off_and_goes_on_to_the_next_balancer(tries: int) -> None:
    """As the reference client does."""
    w = play(poisson(10, 3)).world
    w.users["tries"][1], w.counts[IN_FLIGHT], w.counts[TICK] = tries, 1, 200
    before = phones.balancer_of(w, 1)
    phones.seed(5)
    phones.unreached(w, 1, 10.0)
    phones.seed(5)
    assert w.users["at"][1] == 10.0 + wait_s(Config(), tries, None, Same())
    assert phones.balancer_of(w, 1) == (before + 1) % 2


@pytest.mark.parametrize(("tries", "where"), [(5, WAITING), (6, GIVEN_UP)])
def test_a_phone_gives_up_after_its_last_try(tries: int, where: int) -> None:
    """Six tries by default, from both sides."""
    w = play(poisson(10, 3)).world
    w.users["tries"][0], w.counts[IN_FLIGHT], w.counts[TICK] = tries, 1, 60
    phones.back_off(w, 0, 3.0, 1.0)
    assert (w.counts[IN_FLIGHT], w.counts[where]) == (0, 1)
    assert w.users["kind"][0] == (TRIES if where == WAITING else SETTLED)


def test_a_phone_is_in_flight_until_it_has_its_answer() -> None:
    """A process that is behind with its work answers when it comes to it, and the phone's wait begins then."""
    w = play(poisson(10, 3)).world
    w.users["tries"][0], w.counts[IN_FLIGHT], w.counts[TICK] = 1, 1, 60
    phones.back_off(w, 0, 7.0, 2.0)
    assert (w.counts[IN_FLIGHT], w.users["kind"][0], w.users["at"][0]) == (1, REFUSED, 7.0)
    phones.refused(w, 0, 7.0)
    assert (w.counts[IN_FLIGHT], w.users["kind"][0], w.users["at"][0]) == (0, TRIES, 9.0)


def test_an_event_can_be_withdrawn() -> None:
    """From the head and from the middle of its tick; an event of the past is played in the present tick."""
    w = play(poisson(10, 4)).world
    w.counts[TICK] = 2
    for i in range(4):
        phones.schedule(w, i, 0.11, TRIES)
    assert phones.tick_of(w, 0.0) == 2
    phones.withdraw(w, 3)
    phones.withdraw(w, 1)
    chain, at = [], int(w.head[2])
    while at >= 0:
        chain.append(at)
        at = int(w.users["link"][at])
    assert chain == [2, 0]
    phones.withdraw(w, 1)
    assert w.users["kind"][1] == SETTLED


def test_values_are_drawn_between_the_quantiles() -> None:
    """The mean of many draws is that of the distribution."""
    w = play(poisson(10, 2), cost=costs(put_ms=4.0)).world
    w.spreads[PUT] = np.linspace(0.0, 2.0, len(w.spreads[PUT]))
    phones.seed(1)
    drawn = [phones.drawn(w, PUT) for _ in range(2000)]
    assert np.mean(drawn) == pytest.approx(1.0, rel=0.05)
    assert 0.0 <= min(drawn) <= max(drawn) <= 2.0
