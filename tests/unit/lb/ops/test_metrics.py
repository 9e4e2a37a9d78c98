"""lb.ops.metrics: what is scraped."""

from prometheus_client import generate_latest

from lb.ops.about import files_needed
from lb.ops.exposition import page
from lb.ops.metrics import registry
from tests.promtool import assert_clean


async def test_counters_and_nodes_are_scraped(stage) -> None:  # noqa: ANN001 - the stage fixture
    """Every name starts with the tier's prefix; values are those of the plain counters."""
    stage.context.counters.finished(201, 0.02)
    stage.fleet.acquire(stage.fleet.nodes["a"], 700)
    text = generate_latest(registry(stage.connections)).decode()

    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert all(line.startswith(("snapsurge_lb_", "process_")) for line in lines)
    for expected in (
        'snapsurge_lb_requests_total{status="2xx"} 1.0',
        'snapsurge_lb_request_seconds_bucket{le="0.025",status="2xx"} 1.0',
        'snapsurge_lb_node_in_flight_bytes{node="a"} 700.0',
        'snapsurge_lb_node_up{node="b"} 1.0',
        "snapsurge_lb_in_flight 1.0",
        'snapsurge_lb_tickets_total{outcome="early"} 0.0',
        'snapsurge_lb_holders_total{outcome="asked"} 0.0',
    ):
        assert expected in lines
    shares = [float(line.split()[1]) for line in lines if line.startswith("snapsurge_lb_node_ring_share")]
    assert abs(sum(shares) - 1) < 1e-6


async def test_a_balancer_that_is_not_ready_says_so(stage) -> None:  # noqa: ANN001 - the stage fixture
    """As its /readyz does: it drains, or no node can take requests; and how many descriptors it can need."""
    value = registry(stage.connections).get_sample_value
    assert value("snapsurge_lb_not_ready") == 0
    assert value("snapsurge_lb_files_needed") == files_needed(stage.context.config) > 0

    stage.context.draining = True
    assert value("snapsurge_lb_not_ready") == 1
    stage.context.draining = False
    stage.fleet.set_members([], 0.0)
    assert value("snapsurge_lb_not_ready") == 1


async def test_the_page_keeps_the_conventions(stage) -> None:  # noqa: ANN001 - the stage fixture
    """Names, units and help texts, as promtool judges them."""
    assert_clean(page(registry(stage.connections), as_openmetrics=False)[0])


async def test_counters_say_since_when_they_count(stage) -> None:  # noqa: ANN001 - the stage fixture
    """Those of the process since it started, those of a node since it is a member."""
    text = page(registry(stage.connections), as_openmetrics=True)[0].decode()

    counters = {
        line.split(" ")[2] for line in text.splitlines() if line.startswith("# TYPE") and line.endswith("counter")
    }
    created = {line.partition("_created")[0] for line in text.splitlines() if "_created" in line}
    assert counters - {"process_cpu_seconds"} <= created
    assert "snapsurge_lb_request_seconds" in created
