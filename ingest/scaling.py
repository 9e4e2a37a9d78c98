"""The HTTP call about scaling: the autoscaler's latest decision, for operators and KEDA's metrics-api scaler."""

from aiohttp import web
from redis.asyncio import Redis
from redis.exceptions import RedisError

from storage.decision import TIERS, latest, of_tier

from .errors import Refusal
from .views import json_answer


class ScalingCall:
    """`GET /v1/scaling`: serves the autoscaler's last decision from Redis."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def get(self, request: web.Request) -> web.Response:
        """The desired number of a tier, of workers with the reasons; 503 without a current decision on the tier."""
        tier = request.query.get("tier", "worker")
        if tier not in TIERS:
            raise Refusal("bad-request", f"`tier` is one of {', '.join(TIERS)}")
        try:
            scaling = of_tier(await latest(self._redis), tier)
        except (RedisError, OSError):
            scaling = None
        if scaling is None:
            raise Refusal(
                "scaling-unavailable",
                "keep the current number; check the autoscaler (tiers node and lb need its ladder file, too)",
            )
        return json_answer(scaling)
