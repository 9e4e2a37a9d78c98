"""The content of a `stack.json` for tests."""

import os
from typing import Any

STACK: dict[str, Any] = {
    "balancers": [{"url": "http://lb:1", "admin": "http://lb:2", "pid": 11}],
    "nodes": [{"id": "a", "url": "http://node:3", "pid": 12}],
    "workers": [{"pid": 13}, {"pid": 14}],
    "autoscaler": {"pid": 15},
    "servers": [
        {"name": "redis-1", "pid": 16},
        {"name": "sentinel-1", "pid": 17},
        {"name": "redis-shard-1", "pid": 18},
        {"name": "minio", "pid": 19},
    ],
    "supervisor": {"pid": os.getpid()},  # so processes that a test starts are processes of this stack
    "redis": "redis+sentinel://127.0.0.1:4,127.0.0.1:5/snapsurge/0",
    "store": "s3://b?endpoint=http://127.0.0.1:6,http://127.0.0.1:7&region=r",
    "state": "somewhere",
}
