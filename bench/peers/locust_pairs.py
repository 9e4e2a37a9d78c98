"""locust as a load generator of pairs, by its faster client: `locust -f bench/peers/locust_pairs.py --headless …`.

Closed loop: each user sends a body of fixed size on a new connection, one after the other. When it ends, it prints its
requests and the CPU time since the start of its test as JSON. Locust loads this file by its path, outside the package.
"""

import json
import time
from typing import Any, Final

from locust import FastHttpUser, constant, events, task

BODY: Final = "p" * 40_000
HEADERS: Final = {"Connection": "close", "Content-Type": "application/octet-stream"}
_BEGAN: Final[list[float]] = []


@events.test_start.add_listener  # type: ignore[untyped-decorator]
def begin(**_: Any) -> None:  # noqa: ANN401 -- locust gives its own arguments
    """Remember the CPU time of this process when the load begins."""
    _BEGAN.append(time.process_time())


@events.quitting.add_listener  # type: ignore[untyped-decorator]
def tell(environment: Any, **_: Any) -> None:  # noqa: ANN401 -- locust gives its own environment
    """Print what was sent and what it cost."""
    total = environment.stats.total
    cpu_ms = (time.process_time() - _BEGAN[0]) * 1000
    print(json.dumps({"requests": total.num_requests, "failures": total.num_failures, "cpu_ms": cpu_ms}), flush=True)


class Phones(FastHttpUser):
    """A stream of phones without a pause."""

    wait_time = constant(0)

    @task
    def post_pair(self) -> None:
        """Post the same prepared pair; Locust records time and status."""
        self.client.post("/v1/moments/m/posts", data=BODY, headers=HEADERS)
