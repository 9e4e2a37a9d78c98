"""The node's PUTs are read from its metrics."""

from bench.costing.steps import stage

TEXT = """snapsurge_stage_seconds_bucket{le="0.001",stage="store"} 0.0
snapsurge_stage_seconds_bucket{le="0.0025",stage="store"} 3.0
snapsurge_stage_seconds_bucket{le="+Inf",stage="store"} 4.0
snapsurge_stage_seconds_bucket{le="0.001",stage="accept"} 9.0
"""


def test_finite_buckets_of_the_store_are_read() -> None:
    """Not those of other stages."""
    assert stage(TEXT) == {0.001: 0.0, 0.0025: 3.0}
    assert stage("") == {}
