"""One limit for targets: what the balancer lets pass, a node takes."""

from ingest.app import TARGET_BYTES_MAX
from lb.config import Config


def test_balancer_and_node_have_one_limit() -> None:
    """A longer target would be a 400 in plain text, and a line in the node's log."""
    assert Config().target_bytes_max == TARGET_BYTES_MAX
