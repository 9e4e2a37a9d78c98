"""What the nodes counted of a moment that no stored object tells: tries, refusals, CPU time. Kept in Redis.

Each life of a node process has a field of its own and writes its totals there, so a repeated write changes nothing. The
pairs that nodes refused for the service's sake (5xx) are a set, by the digest in the post id, with the time of the
first try: a pair that is refused often counts once. Redis can lose tallies, all of them or, in a failover, the latest:
a tally says how many refused pairs its life has written, and the node writes again what Redis lacks. What nodes that
are gone had told is lost then. So each life numbers its writes, and one that finds an earlier number than Redis had
confirmed marks the moment (`LOST`). A process marks its end. If the mark is missing, the process was killed and
its last second of counts is lost. All of this is on the named Redis, whatever the shards.
"""

import contextlib
from collections.abc import Mapping
from functools import reduce
from operator import add

import msgspec
from redis.asyncio import Redis

from .keys import REFUSED_KEY, TALLY_KEY
from .scripts import Script, run_one

# Until the account was written and an operator has looked at it.
TALLY_TTL_S = 7 * 24 * 3600
# 120 bytes each. Beyond it the account says that not all refused pairs are known.
REFUSED_MAX = 200_000
_NEVER_MS = 10**14  # the year 5138: no node writes such a time
CUT = "cut"  # the field that says so
LOST = "lost"  # the field that says that this Redis had lost what a life had told

# KEYS: tallies, refused pairs. ARGV: the node's life, its tally, how many refused pairs it wrote before, the number of
# the last write that was confirmed, then digest and unix ms of each refused pair. Returns -1, or how many refused pairs
# of this life it has, if these are fewer: then it writes nothing.
_TELL = Script(f"""
local known, before = pcall(cjson.decode, call('HGET', KEYS[1], ARGV[1]) or '{{}}')
before = known and type(before) == 'table' and before or {{}}
local has = math.max(tonumber(before.told) or 0, 0)
if (tonumber(before.writes) or 0) < tonumber(ARGV[4]) then
  call('HSET', KEYS[1], '{LOST}', 1)
  redis.call('EXPIRE', KEYS[1], {TALLY_TTL_S})
end
if has < tonumber(ARGV[3]) then return has end
call('HSET', KEYS[1], ARGV[1], ARGV[2])
for i = 5, #ARGV, 2 do
  if call('ZADD', KEYS[2], 'NX', ARGV[i + 1], ARGV[i]) == 0 then
    call('ZADD', KEYS[2], 'LT', ARGV[i + 1], ARGV[i])
  elseif call('ZCARD', KEYS[2]) > {REFUSED_MAX} then
    call('ZREM', KEYS[2], ARGV[i])
    call('HSET', KEYS[1], '{CUT}', 1)
  end
end
redis.call('EXPIRE', KEYS[1], {TALLY_TTL_S})
redis.call('EXPIRE', KEYS[2], {TALLY_TTL_S})
return -1
""")


class Tally(msgspec.Struct, frozen=True):
    """The totals of one life of a node: tries by outcome, tries with a ticket, CPU ms.

    An outcome is `created`, `replayed`, `unfinished` (the client left) or the code of the refusal. `told`: refused
    pairs that this life has written. `cut`: it refused more pairs than a node remembers. `writes`: the number of this
    write, `at_ms`: its unix time, 0 of an older version; `over`: the last one.
    """

    node: str = ""
    tries: dict[str, int] = {}
    retries: int = 0
    cpu_ms: int = 0
    told: int = 0
    cut: bool = False
    writes: int = 0
    at_ms: int = 0
    over: bool = False

    def __add__(self, other: "Tally") -> "Tally":
        names = sorted({*self.tries, *other.tries})
        return Tally(
            "",
            {name: self.tries.get(name, 0) + other.tries.get(name, 0) for name in names},
            self.retries + other.retries,
            self.cpu_ms + other.cpu_ms,
        )


_decode = msgspec.json.Decoder(Tally).decode


class Tallied(msgspec.Struct, frozen=True):
    """What all nodes told of a moment: the sum, the lives of nodes, refused pairs by digest with unix ms of their try.

    `cut`: more pairs were refused than are kept. `lost`: Redis lost some of it. `unended`: unix ms of the last write of
    each life that has not said that it is over.
    """

    tally: Tally = Tally()
    lives: int = 0
    refused: dict[str, int] = {}
    cut: bool = False
    lost: bool = False
    unended: tuple[int, ...] = ()


async def tell(
    redis: Redis, moment_id: str, life: str, tally: Tally, refused: Mapping[str, int], *, confirmed: int = 0
) -> int:
    """Write a tally, with the refused pairs by which its `told` grew; returns the `told` that Redis has; RedisError.

    If that is less than the tally's, Redis lost pairs that were written before, and nothing was written. `confirmed`:
    the number of the last write that returned.
    """
    pairs = [word for digest, unix_ms in refused.items() for word in (digest, unix_ms)]
    keys = (TALLY_KEY + moment_id, REFUSED_KEY + moment_id)
    before = tally.told - len(refused)
    has = int(await run_one(redis, _TELL(keys, life, msgspec.json.encode(tally), before, confirmed, *pairs)))
    return tally.told if has < 0 else has


async def tries_of(redis: Redis, moment_id: str) -> int:
    """The number of tries of a moment that nodes counted; redis.RedisError."""
    fields: dict[bytes, bytes] = await redis.hgetall(TALLY_KEY + moment_id)  # type: ignore[misc] # redis-py's types
    return sum(sum(one.tries.values()) for one in _read(fields))


async def tallied(redis: Redis, moment_id: str) -> Tallied:
    """What the nodes told of a moment; redis.RedisError."""
    pipe = redis.pipeline(transaction=False)
    pipe.hgetall(TALLY_KEY + moment_id)
    pipe.zrange(REFUSED_KEY + moment_id, 0, -1, withscores=True)
    fields, refused = await pipe.execute()
    tallies = _read(fields)
    cut = CUT.encode() in fields or any(one.cut for one in tallies)
    pairs = {
        digest.decode(): int(unix_ms) for digest, unix_ms in refused if digest.isalnum() and 0 <= unix_ms < _NEVER_MS
    }
    unended = tuple(sorted(one.at_ms for one in tallies if one.at_ms and not one.over))
    return Tallied(reduce(add, tallies, Tally()), len(tallies), pairs, cut, LOST.encode() in fields, unended)


def _read(fields: Mapping[bytes, bytes]) -> list[Tally]:
    """The tallies; one that cannot be read counts as lost."""
    found = []
    for life, raw in fields.items():
        if life not in (CUT.encode(), LOST.encode()):
            with contextlib.suppress(ValueError, RecursionError):
                found.append(_decode(raw))
    return found
