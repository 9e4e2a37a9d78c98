"""Stores each user's rate limit state: in Redis, shared by all nodes, or in this process while Redis is unavailable.

Uploads that come within the linger share one script call. Balancers send a user to the same node, so the local state is
nearly as good as the shared one: without Redis each node limits on its own, and no user is unlimited. The clock is that
of Redis, so that nodes agree.
"""

import logging
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from cachetools import LRUCache
from redis.asyncio import Redis
from redis.exceptions import RedisError

from storage.keys import RATE_KEY
from storage.queue.batch import Batcher
from storage.refusals import reason

from .limits import Decision, Rate, decide

log = logging.getLogger("snapsurge.ingest.ratelimit")

# 100,000 users of some 200 bytes are 20 MB; an evicted user starts again with a full burst.
LOCAL_USERS_MAX = 100_000

# The arithmetic of `limits.decide` for each key. Returns the old TATs, from which `decide` computes the decisions.
_ADVANCE = """
local now = redis.call('TIME')
local now_ms = now[1] * 1000 + math.floor(now[2] / 1000)
local interval, tolerance = tonumber(ARGV[1]), tonumber(ARGV[2])
local answer = {string.format('%.0f', now_ms)}
for i, key in ipairs(KEYS) do
  local tat = tonumber(redis.call('GET', key) or '0')
  if tat > now_ms + tolerance then tat = 0 end
  local next = math.max(tat, now_ms) + interval
  if next - now_ms <= tolerance then redis.call('SET', key, string.format('%.0f', next), 'PX', next - now_ms) end
  answer[i + 1] = string.format('%.0f', tat)
end
return answer
"""


class RateLimiter:
    """Decides whether a user's upload is within the rate. An async context manager."""

    def __init__(self, redis: Redis, rate: Rate, linger_s: float = 0.0) -> None:
        self.rate = rate
        self._redis = redis
        self._away = False
        self._local: LRUCache[str, int] = LRUCache(LOCAL_USERS_MAX)
        self._batcher = Batcher[str, Decision](self._decide, linger_s=linger_s)

    async def check(self, user_id: str) -> Decision:
        """Count one upload of the user. Never fails: without Redis this node counts on its own."""
        return await self._batcher.add(user_id)

    async def __aenter__(self) -> Self:
        await self._batcher.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._batcher.__aexit__(kind, error, trace)

    async def _decide(self, users: Sequence[str]) -> Sequence[Decision]:
        interval_ms = self.rate.interval_ms
        pipe = self._redis.pipeline(transaction=False)
        names = [RATE_KEY + user for user in users]
        pipe.eval(_ADVANCE, len(names), *names, str(interval_ms), str(interval_ms * self.rate.burst))
        try:
            ((now_ms, *tats),) = await pipe.execute()
        except RedisError as error:
            self._say(error)
            return [self._alone(user) for user in users]
        self._say(None)
        return [decide(int(tat_ms), int(now_ms), self.rate)[1] for tat_ms in tats]

    def _say(self, error: RedisError | None) -> None:
        """Log when Redis becomes unavailable or available, not every failure."""
        if error is not None and not self._away:
            log.warning(
                "Redis cannot be read: this node limits uploads by its own counts, until it can: %s",
                reason(error),
            )
        elif error is None and self._away:
            log.warning("Redis can be read again: the upload limit counts on all nodes together")
        self._away = error is not None

    def _alone(self, user: str) -> Decision:
        self._local[user], decision = decide(self._local.get(user, 0), time.time_ns() // 1_000_000, self.rate)
        return decision
