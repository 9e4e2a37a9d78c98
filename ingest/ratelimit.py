"""Keeps each user's place in the rate limit: in Redis, shared by all nodes, or in this process while Redis is away.

One script call an upload. The ring sends a user to one node, so the local copy is nearly as good as the shared one;
without Redis a user is limited by node, never let off. The clock is Redis' own, so that nodes agree.
"""

import logging
import time

from cachetools import LRUCache
from redis.asyncio import Redis
from redis.exceptions import RedisError

from .limits import Decision, Rate, decide

log = logging.getLogger("snapsurge.ingest.ratelimit")

# 100,000 users of some 200 bytes are 20 MB; an evicted user starts anew, which only ever favours him.
LOCAL_USERS_MAX = 100_000

# The arithmetic of `limits.decide`; the decision itself is made there from the TAT as it was.
_ADVANCE = """
local now = redis.call('TIME')
local now_ms = now[1] * 1000 + math.floor(now[2] / 1000)
local interval, tolerance = tonumber(ARGV[1]), tonumber(ARGV[2])
local tat = tonumber(redis.call('GET', KEYS[1]) or '0')
local next = math.max(tat, now_ms) + interval
if next - now_ms <= tolerance then redis.call('SET', KEYS[1], string.format('%.0f', next), 'PX', next - now_ms) end
return {string.format('%.0f', tat), string.format('%.0f', now_ms)}
"""


class RateLimiter:
    """Says of each upload whether its user is within the rate."""

    def __init__(self, redis: Redis, rate: Rate) -> None:
        self.rate = rate
        self._redis = redis
        self._local: LRUCache[str, int] = LRUCache(LOCAL_USERS_MAX)

    async def check(self, user_id: str) -> Decision:
        """Count one upload of the user. Never fails: without Redis this node counts alone."""
        interval_ms = self.rate.interval_ms
        pipe = self._redis.pipeline(transaction=False)
        pipe.eval(_ADVANCE, 1, f"snapsurge:rate:{user_id}", str(interval_ms), str(interval_ms * self.rate.burst))
        try:
            ((tat_ms, now_ms),) = await pipe.execute()
        except RedisError as error:
            log.warning("limiting %s by this node alone: %s", "uploads", error)
            self._local[user_id], decision = decide(self._local.get(user_id, 0), time.time_ns() // 1_000_000, self.rate)
            return decision
        return decide(int(tat_ms), int(now_ms), self.rate)[1]
