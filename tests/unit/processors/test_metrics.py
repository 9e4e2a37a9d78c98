"""Counters and the small server that shows them."""

from collections.abc import Mapping
from itertools import pairwise

import aiohttp
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from processors.metrics import Metrics, ScalerMetrics, exposed


async def test_metrics_and_views_are_served_while_inside() -> None:
    """`/metrics` in Prometheus' form, `/livez`, and each view as JSON, or 503."""
    metrics = ScalerMetrics()
    metrics.ready.set(7)

    async def workers(_: Mapping[str, str]) -> dict[str, list[int]]:
        return {"workers": [1]}

    async def unknown(query: Mapping[str, str]) -> None:
        """Nothing, or an error."""
        if query:
            raise ValueError("a bad query")

    views = {"/workers": workers, "/unknown": unknown}
    async with (
        exposed(("127.0.0.1", 0), metrics.registry, views) as port,
        aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session,
    ):
        async with session.get("/metrics") as answer:
            assert "snapsurge_queue_ready 7.0" in await answer.text()
        async with session.get("/livez") as answer:
            assert answer.status == 200
        async with session.get("/workers") as answer:
            assert await answer.json() == {"workers": [1]}
        async with session.get("/unknown") as answer:
            assert answer.status == 503
        async with session.get("/unknown?a=b") as answer:
            assert (answer.status, await answer.text()) == (400, "a bad query\n")


async def test_without_an_address_nothing_listens() -> None:
    """The default is off."""
    async with exposed(None, Metrics().registry) as port:
        assert port is None


def test_two_workers_in_one_process_do_not_meet() -> None:
    """Each has its own registry."""
    one, other = Metrics(), Metrics()
    one.posts.labels("ready").inc()

    assert one.registry.get_sample_value("snapsurge_worker_posts_total", {"outcome": "ready"}) == 1
    assert other.registry.get_sample_value("snapsurge_worker_posts_total", {"outcome": "ready"}) is None


def test_durations_are_in_fine_buckets() -> None:
    """No bucket between 10 ms and 300 s is wider than a fifth; a post may wait an hour, so coarse ones follow."""
    metrics = Metrics()
    metrics.render.observe(1.0)
    metrics.ready.observe(1.0)
    found = list(text_string_to_metric_families(generate_latest(metrics.registry).decode()))

    for name in ("snapsurge_render_seconds", "snapsurge_accept_to_ready_seconds"):
        (family,) = (one for one in found if one.name == name)
        bounds = [float(one.labels["le"]) for one in family.samples if one.name == f"{name}_bucket"]
        assert all(high <= 1.2 * low for low, high in pairwise(bounds) if low >= 0.01 and high <= 300)
        assert {0.01, 300.0, 3600.0} <= set(bounds)
