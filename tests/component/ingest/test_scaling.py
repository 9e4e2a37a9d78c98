"""`GET /v1/scaling` on a real node: the decision while it is fresh, else 503 with its own code; for ops alone."""

from typing import Any

import pytest
from redis.asyncio import Redis

from storage.decision import Scaling, publish

DECISION = Scaling(
    desired=46,
    workers=12,
    ready=10_000,
    oldest_s=1.5,
    arrivals_per_s=100.0,
    service_s=0.12,
    decided_at="2026-01-01T00:00:00.000Z",
    tiers={"node": 30},
)


async def test_the_decision_is_told_in_keda_s_form(client: Any, redis: Redis) -> None:
    """A JSON object of numbers, `desired` among them, never kept by a cache."""
    await publish(redis, DECISION, ttl_s=60)
    answer = await client.call("GET", "/v1/scaling", "o", "ops")

    assert (answer.status, answer.headers["Cache-Control"]) == (200, "no-store")
    assert (answer.body["desired"], answer.body["ready"], answer.body["oldest_s"]) == (46, 10_000, 1.5)


async def test_without_a_fresh_decision_it_is_503(client: Any, redis: Redis) -> None:
    """Whoever scales by it keeps what there is."""
    await publish(redis, DECISION, ttl_s=60)
    await redis.pexpire("snapsurge:scaling", 0)
    answer = await client.call("GET", "/v1/scaling", "o", "ops")

    assert (answer.status, answer.body["code"]) == (503, "scaling-unavailable")


@pytest.mark.parametrize(
    ("tier", "status", "said"),
    [("node", 200, 30), ("worker", 200, 46), ("lb", 503, "scaling-unavailable"), ("nodes", 400, "bad-request")],
)
async def test_a_tier_has_its_own_number(client: Any, redis: Redis, tier: str, status: int, said: Any) -> None:
    """The planned one of nodes and balancers; without a plan there is no decision, which is not zero."""
    await publish(redis, DECISION, ttl_s=60)
    answer = await client.call("GET", f"/v1/scaling?tier={tier}", "o", "ops")

    assert answer.status == status
    assert said == (answer.body["desired"] if status == 200 else answer.body["code"])


@pytest.mark.parametrize(("scope", "status"), [("upload", 403), ("ops", 503)])
async def test_it_is_for_ops(client: Any, scope: str, status: int) -> None:
    """Phones need not know how large we are."""
    assert (await client.call("GET", "/v1/scaling", "o", scope)).status == status
