"""The JSON views of the autoscaler's listener: its workers, the leader's decision on a tier, and what to scrape."""

from collections.abc import Mapping
from contextlib import suppress

from redis.asyncio import Redis
from redis.exceptions import RedisError

from storage.decision import TIERS, Scaling, latest, of_tier

from ..metrics import View
from .pool import Pool
from .targets import Group, found


def views(redis: Redis, pool: Pool | None) -> dict[str, View]:
    """`/workers`, `/v1/scaling` and `/v1/targets`, for `metrics.exposed`."""

    async def workers(_: Mapping[str, str]) -> dict[str, list[dict[str, int]]]:
        return {"workers": [{"pid": pid} for pid in (pool.pids if pool else ())]}

    async def scaling(query: Mapping[str, str]) -> Scaling | None:
        tier = query.get("tier", "worker")
        if tier not in TIERS:
            raise ValueError(f"`tier` is one of {', '.join(TIERS)}")
        with suppress(RedisError, OSError):
            return of_tier(await latest(redis), tier)
        return None

    async def targets(_: Mapping[str, str]) -> list[Group] | None:
        with suppress(RedisError, OSError):
            return await found(redis)
        return None

    return {"/workers": workers, "/v1/scaling": scaling, "/v1/targets": targets}
