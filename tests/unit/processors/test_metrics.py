"""Counters and the small server that shows them."""

import aiohttp

from processors.metrics import Metrics, ScalerMetrics, exposed


async def test_metrics_and_views_are_served_while_inside() -> None:
    """`/metrics` in Prometheus' form, `/livez`, and each view as JSON, or 503."""
    metrics = ScalerMetrics()
    metrics.ready.set(7)

    async def workers() -> dict[str, list[int]]:
        return {"workers": [1]}

    async def unknown() -> None:
        """Nothing."""

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
