"""The node's metrics under the names of the contract."""

from prometheus_client import generate_latest

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
