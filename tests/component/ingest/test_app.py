"""The whole node: it says whether it lives and may take traffic, and its parts come and go together."""

import re
import time
from pathlib import Path
from typing import Any

import pytest

from ingest.admission import Budget
from ingest.app import READ_BYTES_MIN, budget, node, read_limits
from ingest.config import Config
from storage.blobs import StoreUnavailable
from storage.config import Config as StorageConfig


async def test_a_node_says_that_it_lives_and_whether_it_is_ready(client: Any) -> None:
    """Draining it still lives, but takes no new traffic."""
    assert (await client.call("GET", "/livez")).raw == b"alive\n"
    assert (await client.call("GET", "/readyz")).status == 200
    client.lifecycle.draining = True
    assert (await client.call("GET", "/livez")).status == 200
    assert (await client.call("GET", "/readyz")).status == 503


async def test_a_node_that_cannot_do_its_job_says_why(client: Any) -> None:
    """503 with the reason until a commit goes well; it lives all the while."""
    moment = await client.moment()
    for commit in range(3):
        client.lifecycle.readiness.failed(time.perf_counter() + commit)
    answer = await client.call("GET", "/readyz")
    assert answer.status == 503
    assert answer.raw.startswith(b"not ready: store: ")
    assert (await client.call("GET", "/livez")).status == 200
    assert (await client.upload(moment)).status == 201
    assert (await client.call("GET", "/readyz")).raw == b"ready\n"


async def test_an_upload_that_the_store_failed_names_the_cause(client: Any) -> None:
    """`Snapsurge-Cause`, for the balancer."""
    moment = await client.moment()
    client.root.joinpath(".incoming").rename(client.root / "gone")
    answer = await client.upload(moment)
    assert (answer.status, answer.body["code"]) == (503, "storage-unavailable")
    assert answer.headers["Snapsurge-Cause"] == "store"


async def test_the_clock_of_a_balancers_check_counts_from_trusted_peers_only(make_client: Any) -> None:
    """A time of twenty minutes ago in a check makes the node say that it is ahead; a stranger's is not heard."""
    old = str(int((time.time() - 1203) * 1000))
    asked = {"User-Agent": "snapsurge-lb (1)", "Snapsurge-Received-At": old}
    for peers, status in (("127.0.0.0/8", 503), ("10.0.0.0/8", 200)):
        async with make_client(trusted_peers=peers, redis_address="redis://127.0.0.1:1/0") as client:
            answer = await client.call("GET", "/readyz", headers=asked)
            assert answer.status == status
            if status == 503:
                assert re.fullmatch(rb"not ready: clock: 1,20\d s ahead of the balancers\n", answer.raw)
            assert (await client.call("GET", "/readyz", headers={"Snapsurge-Received-At": old})).status == status


async def test_a_node_tells_of_itself(client: Any) -> None:
    """At `/aboutz`, without a token; to HEAD too."""
    found = (await client.call("GET", "/aboutz")).body
    assert found["program"] == "node"
    assert found["secrets"]["SNAPSURGE_AUTH_SECRET"]
    head = await client.call("HEAD", "/aboutz")
    assert (head.status, head.raw) == (200, b"")


async def test_metrics_tell_of_calls_by_route_and_status(client: Any) -> None:
    """Routes, not paths: their number is bounded."""
    await client.call("GET", "/v1/moments/eu-20260101-none")
    await client.call("GET", "/nowhere")
    text = (await client.call("GET", "/metrics")).raw.decode()

    assert 'snapsurge_ingest_requests_total{route="moment",status="404"} 1.0' in text
    assert 'snapsurge_ingest_requests_total{route="other",status="404"} 1.0' in text


async def test_a_wrong_method_names_the_right_ones(client: Any) -> None:
    """405 with Allow, and OPTIONS says the same; `current` is no moment that could be changed."""
    moment = await client.moment()
    for path, allowed in (
        ("/v1/moments", "GET, HEAD, OPTIONS, POST"),
        ("/v1/moments/current", "GET, HEAD, OPTIONS"),
        (f"/v1/moments/{moment}", "DELETE, GET, HEAD, OPTIONS, PATCH"),
    ):
        refused, told = await client.call("PUT", path), await client.call("OPTIONS", path)
        assert (refused.status, refused.headers["Allow"]) == (405, allowed)
        assert (told.status, told.headers["Allow"]) == (204, allowed)
    assert (await client.call("DELETE", "/v1/moments/current", "o", "ops")).status == 405


async def test_a_node_without_a_store_does_not_start(tmp_path: Path) -> None:
    """Better no node than one that can accept nothing."""
    (tmp_path / "store").write_text("in the way")
    storage = StorageConfig(store_url=f"file://{tmp_path}/store")
    with pytest.raises(StoreUnavailable):
        async with node(Config(auth_secret="x" * 32), storage):
            pass


async def test_a_node_takes_tokens_of_both_its_secrets(make_client: Any) -> None:
    """The client signs with the old one: taken as the present or the previous secret, else 401."""
    new, old = "a-new-secret-for-tests-of-32-characters", "a-secret-for-tests-of-32-characters"
    for secrets, status in (((new, old), 404), ((old, ""), 404), ((new, ""), 401)):
        async with make_client(auth_secret=secrets[0], auth_secret_previous=secrets[1]) as client:
            assert (await client.call("GET", "/v1/moments/eu-20260101-none")).status == status


def test_the_budget_is_the_setting_or_what_the_machine_leaves() -> None:
    """0 asks the machine; one upload fits in any case."""
    told = budget(Config(auth_secret="x" * 32, in_flight_bytes_max=40_000_000, reads_max=3))
    found = budget(Config(auth_secret="x" * 32))

    assert told.bytes_max == 40_000_000
    assert found.bytes_max >= Config(auth_secret="x" * 32).body_bytes_max


def test_answers_may_hold_a_quarter_of_what_uploads_may() -> None:
    """And a hundred renditions in any case."""
    config = Config(auth_secret="x" * 32, reads_max=3)
    large, small = (read_limits(config, Budget(requests_max=1, bytes_max=size)) for size in (10**9, 10**6))

    assert (large.reads_max, large.bytes_max) == (3, 250_000_000)
    assert small.bytes_max == READ_BYTES_MIN
