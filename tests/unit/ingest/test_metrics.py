"""The node's metrics under the names of the contract."""

from itertools import pairwise

from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from ingest.admission import Admission, Budget, Rank
from ingest.commits import Commits
from ingest.metrics import Metrics


def test_names_are_those_of_the_contract() -> None:
    """Everything starts with snapsurge_; what is in flight is read when asked."""
    admission = Admission(Budget(requests_max=10, bytes_max=100), Commits())
    text = generate_latest(Metrics(admission).registry).decode()
    names = {line.split(" ")[2] for line in text.splitlines() if line.startswith("# TYPE")}
    admission.admit("alice", 42, Rank.FIRST, 1.0)

    assert all(name.startswith("snapsurge_") for name in names)
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
