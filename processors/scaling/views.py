"""The JSON views of the autoscaler's listener: its own workers, and the leader's decision on a tier."""

from collections.abc import Mapping
from contextlib import suppress

from redis.asyncio import Redis
from redis.exceptions import RedisError

from storage.decision import TIERS, Scaling, latest, of_tier

from ..metrics import View
from .pool import Pool


def views(redis: Redis, pool: Pool | None) -> dict[str, View]:
    """`/workers` and `/v1/scaling`, for `metrics.exposed`."""

    async def workers(_: Mapping[str, str]) -> dict[str, list[dict[str, int]]]:
        return {"workers": [{"pid": pid} for pid in (pool.pids if pool else ())]}

    async def scaling(query: Mapping[str, str]) -> Scaling | None:
        tier = query.get("tier", "worker")
        if tier not in TIERS:
            raise ValueError(f"`tier` is one of {', '.join(TIERS)}")
        with suppress(RedisError, OSError):
            return of_tier(await latest(redis), tier)
        return None

    return {"/workers": workers, "/v1/scaling": scaling}
