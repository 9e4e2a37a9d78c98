"""The scripts on a real Redis keep the rules of a lease as the model does."""

import asyncio
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test
from redis.asyncio import Redis

from tests.unit.storage.queue.lease_model import Ledger, Real
from tests.unit.storage.queue.test_lease import Leases


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    """A loop for machines that know none."""
    with asyncio.Runner() as made:
        yield made


def test_leases_of_the_scripts_are_those_of_the_model(redis_url: str, runner: asyncio.Runner) -> None:
    """Redis and the model agree: no job lost, one holder a token, every run counted, zombies fenced."""
    redis = Redis.from_url(redis_url)

    def emptied() -> Ledger:
        runner.run(redis.flushall())
        return Real(redis)

    class OnRedis(Leases):
        make_real = staticmethod(emptied)

    OnRedis.runner = runner
    try:
        run_state_machine_as_test(
            OnRedis,
            settings=settings(
                max_examples=30,
                stateful_step_count=30,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
    finally:
        runner.run(redis.aclose())
