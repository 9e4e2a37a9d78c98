"""bench.contests.generators: our generator, locust and vegeta at a real sink, few pairs."""

import sys
from collections.abc import Iterator

import pytest
import uvloop

from bench.contests import generators
from bench.peers import started, vegeta
from bench.traces.synthesis import UPLINKS
from deploy.config import Environment
from tests.ports import free_port

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A sink."""
    port = free_port()
    with started.process([sys.executable, "-m", "bench.peers.sink", str(port)], port):
        yield f"http://127.0.0.1:{port}"


def test_our_generator_is_measured(url: str) -> None:
    """Every pair is sent at its time, and costs CPU."""
    found = uvloop.run(generators.ours(url, 50, 2))

    assert found.cpu_ms > 0
    assert found.per_s > 0
    assert found.lag_p99_ms < 60_000


def test_the_burst_is_even_and_mixed() -> None:
    """As many a second as asked for, of all uplinks."""
    burst = generators.arrivals(200, 3)

    assert [each.row.t for each in burst[:3]] == [0, 5000, 10_000]
    assert len(burst) == 600
    assert {each.row.up for each in burst} == {each.bytes_per_s for each in UPLINKS}


def test_locust_is_measured(url: str) -> None:
    """By its own count of requests and CPU."""
    assert generators.by_locust(url, 8) > 0


def test_vegeta_is_measured(url: str) -> None:
    """It is built where it is missing, by the Go of the virtual environment: where CI cannot, that is a failure."""
    try:
        vegeta.program()
    except started.StartError as error:
        (pytest.fail if Environment.current().get("CI") == "true" else pytest.skip)(str(error))
    assert generators.by_vegeta(url, 50, 2) > 0


def test_a_failing_server_is_no_measurement() -> None:
    """Nobody listens."""
    with pytest.RaisesGroup(
        pytest.RaisesExc(started.StartError, match="our generator failed"), allow_unwrapped=True, flatten_subgroups=True
    ):
        uvloop.run(generators.ours("http://127.0.0.1:1", 2, 1))
