"""The HTTP call about workers: the autoscaler's latest decision, for operators and KEDA's metrics-api scaler."""

from aiohttp import web
from redis.asyncio import Redis
from redis.exceptions import RedisError

from storage.decision import latest

from .errors import Refusal
from .views import json_answer


class ScalingCall:
    """The call `/v1/scaling`."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def get(self, _request: web.Request) -> web.Response:
        """The desired number of workers and the reasons; 503 without a current decision."""
        try:
            scaling = await latest(self._redis)
        except (RedisError, OSError):
            scaling = None
        if scaling is None:
            raise Refusal("scaling-unavailable", "keep the workers that there are, and look after the autoscaler")
        return json_answer(scaling)
