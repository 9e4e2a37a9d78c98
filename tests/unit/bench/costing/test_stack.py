"""What MinIO says it has counted."""

from bench.costing.stack import Counted, parsed

TEXT = """# HELP minio_api_requests_total Total number of requests
minio_api_requests_total{name="PutObject",server="127.0.0.1:9000",type="s3"} 20
minio_api_requests_total{name="GetObject",server="127.0.0.1:9000",type="s3"} 10
minio_api_requests_total{name="HeadBucket",server="127.0.0.1:9000",type="s3"} 99
minio_api_requests_total{name="GetBucketObjectLockConfig",server="127.0.0.1:9000",type="s3"} 1
minio_api_requests_total{name="ListObjectsV2",server="127.0.0.1:9000",type="s3"} 3
minio_api_requests_traffic_received_bytes{server="127.0.0.1:9000",type="s3"} 1.5e+06
minio_api_requests_traffic_sent_bytes{server="127.0.0.1:9000",type="s3"} 300
"""


def test_requests_and_bytes_are_read() -> None:
    """By name, those for objects, not those by which a node sees that its store is there; an empty text has none."""
    assert parsed(TEXT) == Counted({"PutObject": 20, "GetObject": 10, "ListObjectsV2": 3}, 1.5e6, 300)
    assert parsed("") == Counted({}, 0, 0)


def test_what_was_added_is_the_difference() -> None:
    """What did not change is left out."""
    before = Counted({"PutObject": 5, "GetObject": 10, "ListObjectsV2": 3}, 5e5, 100)
    assert parsed(TEXT).since(before) == Counted({"PutObject": 15}, 1e6, 200)
