"""The Redis index of posts and moments: a fast copy that may be lost at any instant, never the truth.

One script, `_OBSERVE`, makes every change to a post's entry and derives the moment's counts from the change it made:
accepted when an entry appears, ready or rejected when it becomes final, on time or late when it is first flagged. So
it can be told the same thing any number of times, in any order, by nodes, workers and a rebuild at once, and the
counts stay exact. A deleted post leaves a tombstone, so that a render that was under way learns of it.

Keys: `snapsurge:post:{id}` (hash: j record, s state, l late_by_ms, r request id), `snapsurge:deleted:{id}`,
`snapsurge:counts:{moment}` (hash), `snapsurge:moment:{id}` (JSON), `snapsurge:moments:{region}` (ids by fires_at).
"""

from collections.abc import Iterable, Sequence
from typing import Any, Literal, cast

import msgspec
from redis.asyncio import Redis
from redis.asyncio.client import Pipeline

from .records import ACCEPTING_MS, Moment, Post, flagged, to_ms

Observed = Literal["new", "known", "stale", "deleted"]

# Two days outlive the accepting period (24 h) and the jobs of its last post; after that the store answers.
POST_TTL_S = 48 * 3600
COUNTS_TTL_S = 30 * 24 * 3600
MOMENT_TTL_S = 7 * 24 * 3600
# A tombstone outlives every job that could still write the post: retries included, minutes.
TOMBSTONE_TTL_S = 3600

_OBSERVE = """
local answers = {}
local fresh, post_ttl, counts_ttl = ARGV[1], ARGV[2], ARGV[3]
for i = 4, #ARGV, 6 do
  local id, moment, state, late, request, record =
    ARGV[i], ARGV[i+1], ARGV[i+2], ARGV[i+3], ARGV[i+4], ARGV[i+5]
  local key, counts, tomb = 'snapsurge:post:'..id, 'snapsurge:counts:'..moment, 'snapsurge:deleted:'..id
  local answer = 'known'
  if fresh == '1' then redis.call('DEL', tomb) end
  local old = redis.call('HMGET', key, 's', 'l', 'r')
  if redis.call('EXISTS', tomb) == 1 then answer = 'deleted'
  elseif old[1] and old[3] ~= request then answer = 'stale'
  else
    if not old[1] then
      answer = 'new'
      redis.call('HINCRBY', counts, 'accepted', 1)
    end
    if state ~= 'accepted' and (not old[1] or old[1] == 'accepted') then redis.call('HINCRBY', counts, state, 1) end
    if late ~= '' and not old[2] then
      redis.call('HINCRBY', counts, tonumber(late) > 0 and 'late' or 'on_time', 1)
      redis.call('HSET', key, 'l', late)
    end
    if not old[1] or state ~= 'accepted' then redis.call('HSET', key, 's', state, 'r', request, 'j', record) end
    redis.call('EXPIRE', key, post_ttl)
    redis.call('EXPIRE', counts, counts_ttl)
  end
  answers[#answers + 1] = answer
end
return answers
"""

_FORGET = """
local key, counts = 'snapsurge:post:'..ARGV[1], 'snapsurge:counts:'..ARGV[2]
local old = redis.call('HMGET', key, 's', 'l')
redis.call('SET', 'snapsurge:deleted:'..ARGV[1], '1', 'EX', ARGV[3])
if old[1] then
  redis.call('HINCRBY', counts, 'accepted', -1)
  if old[1] ~= 'accepted' then redis.call('HINCRBY', counts, old[1], -1) end
  if old[2] then redis.call('HINCRBY', counts, tonumber(old[2]) > 0 and 'late' or 'on_time', -1) end
  redis.call('DEL', key)
end
"""


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """How far a moment's posts have come; `pending` are neither ready nor rejected."""

    accepted: int = 0
    on_time: int = 0
    late: int = 0
    ready: int = 0
    rejected: int = 0
    pending: int = 0


class Index:
    """The index in one Redis. Every method may raise redis.RedisError: the caller knows what to do without it."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def observe(self, posts: Sequence[Post], *, fresh: bool = False) -> list[Observed]:
        """Tell what is known of some posts; see `observe_in`."""
        pipe = self._redis.pipeline(transaction=False)
        self.observe_in(pipe, posts, fresh=fresh)
        return cast("list[Observed]", [answer.decode() for answer in (await pipe.execute())[0]])

    def observe_in(self, pipe: Pipeline, posts: Sequence[Post], *, fresh: bool) -> None:
        """Add the telling to a round trip that others share.

        `fresh` says that the pair was committed just now, which ends an earlier post's tombstone. Answers, a post
        each: `new` (the index did not have it), `known`, `stale` (the entry is of another post of this user and
        moment: this one was deleted and posted again) or `deleted`.
        """
        fields: list[Any] = [int(fresh), POST_TTL_S, COUNTS_TTL_S]
        for post in posts:
            late = "" if post.late_by_ms is None else post.late_by_ms
            record = msgspec.json.encode(post)
            fields += [post.id, post.moment_id, post.state, late, post.request_id, record]
        pipe.eval(_OBSERVE, 0, *fields)

    async def forget(self, post_id: str, moment_id: str) -> None:
        """Take a post out of index and counts, and leave a tombstone."""
        pipe = self._redis.pipeline(transaction=False)
        pipe.eval(_FORGET, 0, post_id, moment_id, str(TOMBSTONE_TTL_S))
        await pipe.execute()

    async def posts(self, post_ids: Sequence[str]) -> list[Post | None]:
        """The entries, None for each that is not here."""
        pipe = self._redis.pipeline(transaction=False)
        for post_id in post_ids:
            pipe.hmget(f"snapsurge:post:{post_id}", ["j", "l"])
        return [_post(entry) for entry in await pipe.execute()]

    async def counts(self, moment_id: str) -> Counts | None:
        """The moment's counts, or None when they do not cover everything that the store has."""
        pipe = self._redis.pipeline(transaction=False)
        pipe.hgetall(f"snapsurge:counts:{moment_id}")
        (fields,) = await pipe.execute()
        if fields.pop(b"complete", None) is None:
            return None
        known = {name.decode(): int(value) for name, value in fields.items()}
        pending = known.get("accepted", 0) - known.get("ready", 0) - known.get("rejected", 0)
        return Counts(**known, pending=pending)

    async def counts_are_complete(self, moment_id: str) -> None:
        """Say that every post of the moment that was in the store has been observed."""
        pipe = self._redis.pipeline()
        pipe.hset(f"snapsurge:counts:{moment_id}", mapping={"complete": 1})
        pipe.expire(f"snapsurge:counts:{moment_id}", COUNTS_TTL_S)
        await pipe.execute()

    async def put_moments(self, moments: Iterable[Moment]) -> None:
        """Copy moments into the index."""
        pipe = self._redis.pipeline(transaction=False)
        for moment in moments:
            pipe.set(f"snapsurge:moment:{moment.id}", msgspec.json.encode(moment), ex=MOMENT_TTL_S)
            pipe.zadd(f"snapsurge:moments:{moment.region}", {moment.id: to_ms(moment.fires_at)})
            pipe.zadd("snapsurge:moments", {moment.id: to_ms(moment.fires_at)})
        await pipe.execute()

    async def moment(self, moment_id: str) -> Moment | None:
        """The moment, or None when the index does not have it."""
        found = await self._redis.get(f"snapsurge:moment:{moment_id}")
        return None if found is None else msgspec.json.decode(found, type=Moment)

    async def current_moment_id(self, region: str, now_ms: int) -> str | None:
        """The last moment of a region that fired and still accepts posts."""
        found = await self._redis.zrevrangebyscore(
            f"snapsurge:moments:{region}", now_ms, now_ms - ACCEPTING_MS, start=0, num=1
        )
        return found[0].decode() if found else None

    async def moment_ids(self, since_ms: int) -> list[str]:
        """Moments that fire, or fired, after this time, in order."""
        return [found.decode() for found in await self._redis.zrangebyscore("snapsurge:moments", since_ms, "+inf")]


def _post(entry: tuple[bytes | None, bytes | None]) -> Post | None:
    record, late = entry
    if record is None:
        return None
    post = msgspec.json.decode(record, type=Post)
    return post if post.late is not None or late is None else flagged(post, int(late))
