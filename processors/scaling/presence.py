"""The workers' pulses in Redis: each worker writes its own, and the autoscaler reads all with one script.

A pulse is a key that expires when its worker stops renewing it. A set holds the names of all workers, on any machine or
pod. A worker that stops in order removes its name, so a name without a pulse is a lost worker. An unreadable name or
pulse is skipped and does not affect other workers. The meaning of pulses is in pulse.py.
"""

import msgspec
from redis.asyncio import Redis

from storage.keys import ELECTED_KEY, PULSE_KEY, WORKERS_KEY
from storage.scripts import Call, Script

from .pulse import Pulse, parse_name, parse_pulse

# The longest life of a pulse. A key that expires later is from before Redis' clock was set back, so its worker is lost.
TTL_S_MAX = 60.0

# A worker that still lives adds its name again with its next pulse.
_HEAR = Script(f"""
if call('GET', KEYS[1]) ~= ARGV[1] then return false end
local names, found, gone = call('SMEMBERS', '{WORKERS_KEY}'), {{}}, {{}}
for start = 1, #names, 1000 do
  local keys = {{}}
  for i = start, math.min(start + 999, #names) do keys[#keys + 1] = '{PULSE_KEY}' .. names[i] end
  for i, pulse in ipairs(redis.call('MGET', unpack(keys))) do
    local name = names[start + i - 1]
    if pulse and redis.call('PTTL', keys[i]) <= {int(TTL_S_MAX * 1000)} then
      found[#found + 1], found[#found + 2] = name, pulse
    else
      call('SREM', '{WORKERS_KEY}', name)
      gone[#gone + 1] = name
    end
  end
end
return {{found, gone}}
""")


async def beat(redis: Redis, worker: str, pulse: Pulse, *, ttl_s: float) -> int:
    """Write a worker's pulse, which expires after `ttl_s`; returns the number of workers. redis.RedisError."""
    pipe = redis.pipeline(transaction=False)
    pipe.set(PULSE_KEY + worker, msgspec.msgpack.encode(pulse), px=int(min(ttl_s, TTL_S_MAX) * 1000))
    pipe.sadd(WORKERS_KEY, worker)
    pipe.scard(WORKERS_KEY)
    return int((await pipe.execute())[-1])


async def end(redis: Redis, worker: str) -> None:
    """Remove a worker's name and pulse, so that it does not count as lost; redis.RedisError."""
    pipe = redis.pipeline(transaction=False)
    pipe.srem(WORKERS_KEY, worker)
    pipe.delete(PULSE_KEY + worker)
    await pipe.execute()


class Heard(msgspec.Struct, frozen=True):
    """The result of one read: fresh pulses by worker, workers lost since the last read, and unreadable names.

    `unreadable` holds names that cannot be read or whose pulse cannot. Such a worker is neither fresh nor lost until
    its pulse expires.
    """

    fresh: dict[str, Pulse] = {}
    lost: list[str] = []
    unreadable: frozenset[bytes] = frozenset()


def hearing(token: str) -> Call:
    """The call that reads all pulses, and removes the names of lost workers; `heard_in` reads its answer.

    It does nothing unless the autoscaler with this token is elected.
    """
    return _HEAR([ELECTED_KEY], token)


def heard_in(answer: tuple[list[bytes], list[bytes]] | None) -> Heard:
    """The pulses from the script's answer."""
    found, gone = answer or ([], [])
    read = {name: (parse_name(name), parse_pulse(raw)) for name, raw in zip(found[::2], found[1::2], strict=True)}
    return Heard(
        fresh={name: pulse for name, pulse in read.values() if name is not None and pulse is not None},
        lost=[name for name in map(parse_name, sorted(gone)) if name is not None],
        unreadable=frozenset(name for name, parts in read.items() if None in parts),
    )
