"""The node's metrics under the names of the contract."""

from itertools import pairwise
from typing import get_args

from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from ingest.admission import Admission, Budget, Rank
from ingest.calls import CALLS
from ingest.commits import Commits
from ingest.errors import CODES
from ingest.metrics import Metrics
from ingest.readiness import Cause
from storage.exposition import page
from tests.promtool import assert_clean


def test_names_are_those_of_the_contract() -> None:
    """Everything starts with snapsurge_; what is in flight is read when asked."""
    admission = Admission(Budget(requests_max=10, bytes_max=100), Commits())
    text = generate_latest(Metrics(admission).registry).decode()
    names = {line.split(" ")[2] for line in text.splitlines() if line.startswith("# TYPE")}
    admission.admit("alice", 42, Rank.FIRST, 1.0)

    assert all(name.startswith(("snapsurge_", "process_")) for name in names)
    assert "snapsurge_posts_total" in names
    assert "snapsurge_stage_seconds" in names
    metrics = Metrics(admission)
    assert "snapsurge_ingest_in_flight_bytes 42.0" in generate_latest(metrics.registry).decode()


def test_durations_are_in_fine_buckets() -> None:
    """Uploads take seconds on a phone's network: no bucket between 10 ms and 300 s is wider than a fifth."""
    metrics = Metrics(Admission(Budget(requests_max=10, bytes_max=100), Commits()))
    metrics.seconds("upload").observe(1.0)
    metrics.stages("store").observe(1.0)
    found = list(text_string_to_metric_families(generate_latest(metrics.registry).decode()))

    for name in ("snapsurge_ingest_request_seconds", "snapsurge_stage_seconds"):
        (family,) = (one for one in found if one.name == name)
        bounds = [float(one.labels["le"]) for one in family.samples if one.name == f"{name}_bucket"]
        assert all(high <= 1.2 * low for low, high in pairwise(bounds) if low >= 0.01 and high <= 300)
        assert {0.01, 300.0} <= set(bounds)


def test_the_page_keeps_the_conventions() -> None:
    """Names, units and help texts, as promtool judges them."""
    assert_clean(
        page(Metrics(Admission(Budget(requests_max=10, bytes_max=100), Commits())).registry, as_openmetrics=False)[0]
    )


def test_every_answer_of_the_contract_has_its_series_before_it_is_given() -> None:
    """Prometheus sees growth only: a series that begins with its first event loses that event."""
    metrics = Metrics(Admission(Budget(requests_max=10, bytes_max=100), Commits()))
    value = metrics.registry.get_sample_value

    for call in CALLS:
        for status in {call.status, *(CODES[code][0].value for code in call.errors)}:
            labels = {"route": call.name, "status": str(status)}
            assert value("snapsurge_ingest_requests_total", labels) == 0, labels
    for outcome in ("accepted", "shed", "limited", "replayed", "conflict", "not_queued"):
        assert value("snapsurge_posts_total", {"outcome": outcome}) == 0
    for cause in ("unavailable", "quorum-lost", "full"):
        assert value("snapsurge_store_failures_total", {"cause": cause}) == 0
    assert value("snapsurge_ingest_request_seconds_count", {"route": "upload_refused"}) == 0
    assert value("snapsurge_ingest_request_seconds_count", {"route": "upload"}) == 0
    assert value("snapsurge_ingest_request_seconds_created", {"route": "upload"})


def test_a_node_that_is_not_ready_says_why() -> None:
    """Each cause has its series; the reasons are read at the scrape."""

    class Asked:
        """A node with a wrong clock that drains."""

        draining = True

        def not_ready(self) -> dict[Cause, str]:
            """Why."""
            return {"clock": "61 s ahead of Redis"}

    metrics = Metrics(Admission(Budget(requests_max=10, bytes_max=100), Commits()), Asked())
    assert metrics.registry.get_sample_value("snapsurge_ingest_draining") == 1

    shown = {c: metrics.registry.get_sample_value("snapsurge_ingest_not_ready", {"cause": c}) for c in get_args(Cause)}
    assert shown == {"store": 0, "clock": 1, "disk": 0}


def test_a_node_says_how_many_files_it_can_need() -> None:
    """Before a moment hardly any is in use, so that alone tells nothing."""
    metrics = Metrics(Admission(Budget(requests_max=10, bytes_max=100), Commits()), files_needed=4711)

    assert metrics.registry.get_sample_value("snapsurge_ingest_files_needed") == 4711


def test_seldom_routes_share_their_durations() -> None:
    """Each series of durations is 69 lines of the page."""
    metrics = Metrics(Admission(Budget(requests_max=10, bytes_max=100), Commits()))

    assert metrics.seconds("upload", 201) is metrics.seconds("upload", 200) is metrics.seconds("upload")
    assert metrics.seconds("upload", 503) is metrics.seconds("upload", 409) is not metrics.seconds("upload")
    assert metrics.seconds("docs") is metrics.seconds("other") is not metrics.seconds("upload")
