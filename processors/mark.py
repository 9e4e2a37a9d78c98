"""The sweeper's mark in a Redis, which tells whether that Redis may have lost what the sweeper restores.

The mark is the run of the Redis, the term (storage/reign.py) and the epoch of the shards. The script that looks at it
also deletes keys that have another type than this program writes. A command outside of scripts would fail on such a key
forever; what the key had is in the store, or comes again.
"""

import logging

import msgspec
from redis.asyncio import Redis

from storage.connections import term
from storage.keys import CURSORS_KEY, SWEPT_KEY, TYPES
from storage.scripts import Script, run_one

from .passes import Cursor, parse_cursor

log = logging.getLogger("snapsurge.processors.mark")

# KEYS: the mark, the cursors, then every key of `TYPES`. ARGV: the term, the epoch, the types of those keys. Made in
# Redis, because redis-py parses all of INFO for it.
_MARK = Script("""
local deleted = {}
for i = 3, #KEYS do
  local there = redis.call('TYPE', KEYS[i]).ok
  if there ~= 'none' and there ~= ARGV[i] then
    redis.call('DEL', KEYS[i])
    deleted[#deleted + 1] = KEYS[i]
  end
end
local mark = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')..ARGV[1]..ARGV[2]
local old, another = call('GET', KEYS[1]), 0
if old ~= mark then
  another = (not old or string.match(old, '^%w+(.*)$') == ARGV[2]) and 1 or 2
  redis.call('SET', KEYS[1], mark)
end
return {another, call('HGETALL', KEYS[2]), deleted}
""")


class Mark(msgspec.Struct, frozen=True):
    """What was found: 0, or 1 for another run or term, or 2 for another set of shards; and the cursors by age class."""

    found: int
    cursors: dict[str, Cursor]


async def mark(redis: Redis, epoch: str) -> Mark:
    """Compare and renew the mark, and delete keys of another type, with a log line; redis.RedisError."""
    # After a failover it is another run, because the Redis may lack what came before it.
    number = await term(redis)
    words = [f"t{number}" if number else "", epoch and f":{epoch}", *TYPES.values()]
    found, cursors, deleted = await run_one(redis, _MARK([SWEPT_KEY, CURSORS_KEY, *TYPES], *words))
    if deleted:
        names = ", ".join(one.decode() for one in deleted)
        log.warning(
            "deleted Redis keys %s: their type is one that this program does not write; it makes them again", names
        )
    read = {
        name.decode(errors="replace"): parse_cursor(raw) for name, raw in zip(cursors[::2], cursors[1::2], strict=True)
    }
    return Mark(found, {name: cursor for name, cursor in read.items() if cursor is not None})
