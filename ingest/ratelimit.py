"""Stores each user's rate limit state: in Redis, shared by all nodes, or in this process while Redis is unavailable.

The state is on the shard of the user's post: posts to different moments may be counted on different shards. Uploads
that come within the linger share one script call. Balancers send a user to the same node, so the local state is nearly
as good as the shared one: without Redis each node limits on its own, and no user is unlimited. The clock is that of
Redis, so that nodes agree.
"""

import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from cachetools import LRUCache
from redis.asyncio import Redis
from redis.exceptions import RedisError

from storage.keys import RATE_KEY
from storage.queue.batch import Batcher
from storage.queue.shards import home
from storage.refusals import reason
from storage.scripts import Script, run_one

from .gcra import Decision, Rate, decide

log = logging.getLogger("snapsurge.ingest.ratelimit")

# 100,000 users of some 200 bytes are 20 MB; an evicted user starts again with a full burst.
LOCAL_USERS_MAX = 100_000

# The arithmetic of `limits.decide` for each key. Returns the old TATs, from which `decide` computes the decisions.
_ADVANCE = Script("""
local now = redis.call('TIME')
local now_ms = now[1] * 1000 + math.floor(now[2] / 1000)
local interval, tolerance = tonumber(ARGV[1]), tonumber(ARGV[2])
local answer = {string.format('%.0f', now_ms)}
for i, key in ipairs(KEYS) do
  local tat = tonumber(call('GET', key))
  if not (tat and tat >= 0 and tat <= now_ms + tolerance) then tat = 0 end
  local next = math.max(tat, now_ms) + interval
  if next - now_ms <= tolerance then redis.call('SET', key, string.format('%.0f', next), 'PX', next - now_ms) end
  answer[i + 1] = string.format('%.0f', tat)
end
return answer
""")


class RateLimiter:
    """Decides whether a user's upload is within the rate. An async context manager."""

    def __init__(self, shards: Mapping[str, Redis], rate: Rate, linger_s: float = 0.0) -> None:
        self.rate = rate
        self._away: set[str] = set()
        self._local: LRUCache[str, int] = LRUCache(LOCAL_USERS_MAX)
        self._batchers = {
            name: Batcher[str, Decision](self._deciding(name, client), linger_s=linger_s)
            for name, client in shards.items()
        }
        self._stack = AsyncExitStack()

    async def check(self, user_id: str, post_id: str) -> Decision:
        """Count one upload of the user. Never fails: without the post's shard this node counts on its own."""
        return await self._batchers[home(post_id, self._batchers)].add(user_id)

    async def __aenter__(self) -> Self:
        for batcher in self._batchers.values():
            await self._stack.enter_async_context(batcher)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.__aexit__(kind, error, trace)

    def _deciding(self, name: str, redis: Redis) -> Callable[[Sequence[str]], Awaitable[Sequence[Decision]]]:
        """The flush function for the users of one shard."""

        async def decided(users: Sequence[str]) -> Sequence[Decision]:
            interval_ms = self.rate.interval_ms
            names = [RATE_KEY + user for user in users]
            try:
                now_ms, *tats = await run_one(redis, _ADVANCE(names, interval_ms, interval_ms * self.rate.burst))
            except RedisError as error:
                self._say(name, error)
                return [self._alone(user) for user in users]
            self._say(name, None)
            return [decide(int(tat_ms), int(now_ms), self.rate)[1] for tat_ms in tats]

        return decided

    def _say(self, name: str, error: RedisError | None) -> None:
        """Log when a shard becomes unavailable or available, not every failure."""
        if error is not None and name not in self._away:
            log.warning(
                "cannot read Redis %s: this node limits uploads by its own counts until Redis answers: %s",
                name,
                reason(error),
            )
            self._away.add(name)
        elif error is None and name in self._away:
            log.warning("Redis %s answers again: the upload limit is counted over all nodes together", name)
            self._away.discard(name)

    def _alone(self, user: str) -> Decision:
        self._local[user], decision = decide(self._local.get(user, 0), time.time_ns() // 1_000_000, self.rate)
        return decision
