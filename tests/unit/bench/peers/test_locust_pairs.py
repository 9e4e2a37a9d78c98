"""bench.peers.locust_pairs: pairs of the size of the contest. It runs in contests/test_generators."""

import ast

from bench.contests.generators import PHOTO_BYTES
from bench.peers.started import ROOT


def test_locust_sends_what_the_others_send() -> None:
    """Importing the file would patch this process for gevent, so it is read."""
    tree = ast.parse((ROOT / "bench" / "peers" / "locust_pairs.py").read_text())
    sizes = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, int)}

    assert 2 * PHOTO_BYTES in sizes
