"""Counters and the small server that shows them."""

from collections.abc import Mapping
from itertools import pairwise

import aiohttp
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from processors.metrics import Counted, Metrics, ScalerMetrics, exposed
from storage.exposition import page
from storage.index import Counts
from storage.records import Moment
from tests.promtool import assert_clean

MOMENT = Moment(
    id="eu-20260101-abc",
    region="eu",
    fires_at="2026-01-01T00:00:00.000Z",
    closes_at="2026-01-01T00:02:00.000Z",
    window_s=120,
)


async def test_metrics_and_views_are_served_while_inside() -> None:
    """`/metrics` in Prometheus' form, `/livez`, and each view as JSON, or 503."""
    metrics = ScalerMetrics()
    metrics.elected.set(1)
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
        async with session.get("/metrics", headers={"Accept": "application/openmetrics-text;version=1.0.0"}) as answer:
            assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
            assert (await answer.text()).endswith("# EOF\n")
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
    assert other.registry.get_sample_value("snapsurge_worker_posts_total", {"outcome": "ready"}) == 0


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


def test_both_pages_keep_the_conventions() -> None:
    """Names, units and help texts, as promtool judges them."""
    scaler = ScalerMetrics()
    scaler.elected.set(1)
    scaler.moments = (Counted(MOMENT, Counts(accepted=3)),)

    assert_clean(page(Metrics().registry, as_openmetrics=False)[0])
    assert_clean(page(scaler.registry, as_openmetrics=False)[0])


def test_every_label_set_of_a_worker_is_there_at_0() -> None:
    """Prometheus sees growth only: a series that begins with its first event loses that event."""
    value = Metrics().registry.get_sample_value

    for name, labels in (
        ("posts", {"outcome": "rejected"}),
        ("failures", {"job": "render_pair", "kind": "fault"}),
        ("failures", {"job": "flag_late", "kind": "outage"}),
        ("dead", {"job": "complete_media"}),
        ("dead", {"job": "other"}),
        ("renderers_ended", {"cause": "SIGKILL"}),
        ("renderers_ended", {"cause": "given up"}),
        ("claims", {}),
    ):
        assert value(f"snapsurge_worker_{name}_total", labels) == 0, (name, labels)


def test_only_the_leader_shows_what_only_the_leader_knows() -> None:
    """A standby would show what was true when it led."""
    metrics = ScalerMetrics()
    metrics.elected.set(1)
    metrics.dead.set(3)
    assert metrics.registry.get_sample_value("snapsurge_dead_letters") == 3
    assert metrics.registry.get_sample_value("snapsurge_queue_events_total", {"event": "dead"}) == 0
    metrics.elected.set(0)

    assert metrics.registry.get_sample_value("snapsurge_dead_letters") is None
    assert metrics.registry.get_sample_value("snapsurge_autoscaler_elected") == 0


def test_the_counts_of_a_moment_are_gauges() -> None:
    """Absent while they may not cover every post: a count that is too small would look like a loss."""
    metrics = ScalerMetrics()
    metrics.elected.set(1)
    value = metrics.registry.get_sample_value
    metrics.moments = (Counted(MOMENT, Counts(accepted=3, on_time=2, late=1, ready=1, pending=2)),)
    assert value("snapsurge_moment_posts", {"moment": MOMENT.id, "state": "pending"}) == 2
    assert value("snapsurge_moment_counts_complete", {"moment": MOMENT.id}) == 1
    assert value("snapsurge_moment_closes_timestamp_seconds", {"moment": MOMENT.id, "region": "eu"}) == 1767225720
    metrics.moments = (Counted(MOMENT, None),)

    assert value("snapsurge_moment_posts", {"moment": MOMENT.id, "state": "pending"}) is None
    assert value("snapsurge_moment_counts_complete", {"moment": MOMENT.id}) == 0
