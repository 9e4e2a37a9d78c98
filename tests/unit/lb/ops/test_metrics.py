"""lb.ops.metrics: what is scraped."""

from prometheus_client import generate_latest

from lb.ops.metrics import registry


async def test_counters_and_nodes_are_scraped(stage) -> None:  # noqa: ANN001 - the stage fixture
    """Every name starts with the tier's prefix; values are those of the plain counters."""
    stage.context.counters.finished(201, 0.02)
    stage.fleet.acquire(stage.fleet.nodes["a"], 700)
    text = generate_latest(registry(stage.connections)).decode()

    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert all(line.startswith("snapsurge_lb_") for line in lines)
    for expected in (
        'snapsurge_lb_requests_total{status="2xx"} 1.0',
        'snapsurge_lb_request_seconds_bucket{le="0.025",status="2xx"} 1.0',
        'snapsurge_lb_node_in_flight_bytes{node="a"} 700.0',
        'snapsurge_lb_node_up{node="b"} 1.0',
        "snapsurge_lb_in_flight 1.0",
    ):
        assert expected in lines
    shares = [float(line.split()[1]) for line in lines if line.startswith("snapsurge_lb_node_ring_share")]
    assert abs(sum(shares) - 1) < 1e-6
