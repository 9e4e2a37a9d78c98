"""What the nodes counted of a moment that no stored object tells: tries, refusals, CPU time. Kept in Redis.

Each life of a node process has a field of its own and writes its totals there, so a repeated write changes nothing. The
pairs that nodes refused for the service's sake (5xx) are a set, by the digest in the post id, with the time of the
first try: a pair that is refused often counts once. Tallies can be lost with Redis; while its node lives, the node
writes them again. All of this is on the named Redis, whatever the shards.
"""

from collections.abc import Mapping

import msgspec
from redis.asyncio import Redis

from .keys import REFUSED_KEY, TALLY_KEY
from .scripts import Script, run_one

# Until the account was written and an operator has looked at it.
TALLY_TTL_S = 7 * 24 * 3600
# 120 bytes each. Beyond it the account says that not all refused pairs are known.
REFUSED_MAX = 200_000
CUT = "cut"  # the field that says so

# KEYS: tallies, refused pairs. ARGV: the node's life, its tally, then digest and unix ms of each refused pair. Returns
# 1 if Redis did not have the tally: it lost what was told before.
_TELL = Script(f"""
local lost = redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('EXPIRE', KEYS[1], {TALLY_TTL_S})
for i = 3, #ARGV, 2 do
  if redis.call('ZCARD', KEYS[2]) >= {REFUSED_MAX} then
    redis.call('HSET', KEYS[1], '{CUT}', 1)
    break
  end
  redis.call('ZADD', KEYS[2], 'LT', ARGV[i + 1], ARGV[i])
end
if #ARGV > 2 then redis.call('EXPIRE', KEYS[2], {TALLY_TTL_S}) end
return lost
""")


class Tally(msgspec.Struct, frozen=True):
    """The totals of one life of a node: tries by outcome, tries with a ticket, CPU ms.

    An outcome is `created`, `replayed`, `unfinished` (the client left) or the code of the refusal.
    """

    node: str = ""
    tries: dict[str, int] = {}
    retries: int = 0
    cpu_ms: int = 0

    def __add__(self, other: "Tally") -> "Tally":
        names = sorted({*self.tries, *other.tries})
        return Tally(
            "",
            {name: self.tries.get(name, 0) + other.tries.get(name, 0) for name in names},
            self.retries + other.retries,
            self.cpu_ms + other.cpu_ms,
        )


class Tallied(msgspec.Struct, frozen=True):
    """What all nodes told of a moment: the sum, the lives of nodes, refused pairs by digest with unix ms of their try.

    `cut`: more pairs were refused than are kept.
    """

    tally: Tally = Tally()
    lives: int = 0
    refused: dict[str, int] = {}
    cut: bool = False


async def tell(redis: Redis, moment_id: str, life: str, tally: Tally, refused: Mapping[str, int]) -> bool:
    """Write a tally, and refused pairs not written yet; whether Redis had lost the tally. redis.RedisError."""
    pairs = [word for digest, unix_ms in refused.items() for word in (digest, unix_ms)]
    keys = (TALLY_KEY + moment_id, REFUSED_KEY + moment_id)
    return bool(await run_one(redis, _TELL(keys, life, msgspec.json.encode(tally), *pairs)))


async def tallied(redis: Redis, moment_id: str) -> Tallied:
    """What the nodes told of a moment; redis.RedisError."""
    pipe = redis.pipeline(transaction=False)
    pipe.hgetall(TALLY_KEY + moment_id)
    pipe.zrange(REFUSED_KEY + moment_id, 0, -1, withscores=True)
    fields, refused = await pipe.execute()
    cut = fields.pop(CUT.encode(), None) is not None
    total = Tally()
    for raw in fields.values():
        total += msgspec.json.decode(raw, type=Tally)
    return Tallied(total, len(fields), {digest.decode(): int(unix_ms) for digest, unix_ms in refused}, cut)
