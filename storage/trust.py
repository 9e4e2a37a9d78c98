"""Which records of the index may be shown: those that no deletion can have made void without this Redis knowing it.

A Redis that was promoted, or restored from an old copy, may lack deletions that were answered 204 at the server before
it. So an entry is believed only if it was reported in the present generation of its moment's counts, and if this server
has been the one primary since that generation began. A generation begins without entries: each one was read from the
store since, or was committed, and a deletion after that was told to this server, or was not answered 204. The store
answers for all other posts, as for those that the index does not have. A recount makes their entries good, post by
post; until then, and for as long as nobody recounts, reads cost store requests. What is refused because of memory or a
full disk ends the trust in counts (reign.py), and none here: whoever was refused a deletion did not answer 204.

Redis gives a primary another replication id whenever it starts or is promoted. A replica has the id of its primary. A
server with other data that joins as a replica is counted (`sync_full`).
"""

from collections.abc import Sequence

from redis.asyncio import Redis

from .connections import heard, known_term
from .keys import COUNTS_KEY, POST_KEY
from .scripts import Script, run_one

# ARGV: the term (reign.py), or nothing for all records, then ids of posts. INFO costs Redis 5 microseconds a call.
# `no-writes`: also while Redis refuses writes, or pauses them. A key of another type counts as missing.
_RECORDS = Script(f"""#!lua flags=no-writes
local function read(key, ...)
  local found = redis.pcall('HMGET', key, ...)
  return found.err and {{}} or found
end
local said
local function kept(mark)
  said = said or redis.call('INFO', 'replication', 'stats')
  local id, full, when = string.match(mark, '^%x+:(%x+):(%d+):%d+:master@(%d+)$')
  return id and string.match(said, 'role:(%l+)') == 'master' and id == string.match(said, 'master_replid:(%x+)')
    and full == string.match(said, 'sync_full:(%d+)') and tonumber(when) >= tonumber(ARGV[1])
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
  local fine = ARGV[1] == '' or generation and generation == generation_of(string.match(ARGV[i], '^%w+-(.*)$') or '')
  records[i - 1] = record and fine and record
end
return records
""")


async def records(redis: Redis, post_ids: Sequence[str]) -> Sequence[bytes | None]:
    """The records of these posts, in order; None where there is none. A deletion may be missing."""
    found: list[bytes | None] = await run_one(redis, _RECORDS((), "", *post_ids)) if post_ids else []
    return found


async def trusted(redis: Redis, post_ids: Sequence[str]) -> Sequence[bytes | None]:
    """The records that may be shown, in order; None where only the store knows whether the post still exists.

    redis.RedisError also where the Sentinels have not named this primary lately: it may have been replaced.
    """
    if not post_ids:
        return []
    found: list[bytes | None] = await run_one(redis, _RECORDS((), await known_term(redis), *post_ids))
    heard(redis)
    return found
