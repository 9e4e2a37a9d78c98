"""Which records of the index may be shown: those that no deletion can have made void without this Redis knowing it."""

from collections.abc import Sequence
from typing import Any, cast

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from .connections import heard, known_term
from .keys import COUNTS_KEY, POST_KEY
from .scripts import Script, run_one

# A Redis that was promoted, or restored from an old copy, may lack deletions that were answered 204 at the one before.
# So an entry is believed only if it was reported in the present generation of its moment's counts, and if this server
# has been the one primary since that generation began. A generation begins without entries: each one was read from the
# store since, or was committed, and a deletion after that was told to this server, or was not answered 204. The store
# answers for all other posts, until a recount reports them. A refused command ends the trust in counts (reign.py), and
# none here: whoever was refused a deletion did not answer 204.
# Redis gives a primary another replication id whenever it starts or is promoted. A replica has the id of its primary. A
# server with other data that joins as a replica is counted (`sync_full`).
# ARGV: the term (reign.py), then ids of posts. `no-writes`: also while Redis refuses writes, or pauses them. A key of
# another type counts as missing. Plain finds: patterns over the text of INFO cost Redis four times as much.
_TRUSTED = Script(f"""#!lua flags=no-writes
local function read(key, ...)
  local found = redis.pcall('HMGET', key, ...)
  return found.err and {{}} or found
end
local said
local function kept(mark)
  said = said or redis.call('INFO', 'replication', 'stats')
  local id, full, when = string.match(mark, '^%x+:(%x+):(%d+):%d+:master@(%d+)$')
  return id and tonumber(when) >= tonumber(ARGV[1]) and string.find(said, 'role:master\\r', 1, true)
    and string.find(said, 'master_replid:'..id..'\\r', 1, true)
    and string.find(said, 'sync_full:'..full..'\\r', 1, true)
end
local generations = {{}}
local function generation_of(moment)
  if generations[moment] == nil then
    local generation, reign, complete = unpack(read('{COUNTS_KEY}'..moment, 'generation', 'reign', 'complete'))
    -- The counts of a new moment have no generation, and are complete from its beginning.
    generations[moment] = kept((generation and reign or not generation and complete) or '') and (generation or '')
  end
  return generations[moment]
end
local records = {{}}
for i = 2, #ARGV do
  local record, generation = unpack(read('{POST_KEY}'..ARGV[i], 'j', 'g'))
  local fine = generation and generation == generation_of(string.match(ARGV[i], '^%w+-(.*)$') or '')
  records[i - 1] = record and fine and record
end
return records
""")


async def records(redis: Redis, post_ids: Sequence[str]) -> Sequence[bytes | None]:
    """The records of these posts, in order; None where there is none. A deletion may be missing."""
    pipe = redis.pipeline(transaction=False)
    for post_id in post_ids:
        pipe.hget(POST_KEY + post_id, "j")
    return [_value(one) for one in await pipe.execute(raise_on_error=False)]


async def trusted(redis: Redis, post_ids: Sequence[str]) -> Sequence[bytes | None]:
    """The records that may be shown, in order; None where only the store knows whether the post still exists.

    redis.RedisError also where the Sentinels have not named this primary lately: it may have been replaced.
    """
    if not post_ids:
        return []
    found: list[bytes | None] = await run_one(redis, _TRUSTED((), await known_term(redis), *post_ids))
    heard(redis)
    return found


def _value(answer: Any) -> bytes | None:  # noqa: ANN401 - redis-py's
    """The answer of one command of a pipeline; a value of another type counts as missing. redis.RedisError."""
    if isinstance(answer, ResponseError) and "WRONGTYPE" in str(answer):
        return None
    if isinstance(answer, Exception):
        raise answer
    return cast("bytes | None", answer)
