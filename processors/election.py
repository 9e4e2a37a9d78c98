"""Leader election among the autoscalers: the leader holds a key in Redis that expires unless the leader renews it.

One script takes the key when it is free and renews it when the caller holds it. A leader that dies is replaced within
one term, a leader that resigns at once. The lock has no fencing: for an instant two autoscalers may both act as leader,
so the leader's actions must be safe when two do them. Scaling and sweeping are.
"""

from redis.asyncio import Redis

from storage.keys import ELECTED_KEY
from storage.scripts import Call, Script, run_one

# A key that expires later than this many terms from now is from before Redis' clock was set back: its holder is dead.
# One that never expires is no candidate's.
TERMS_MAX = 10

_CAMPAIGN = Script(f"""
local holder = call('GET', KEYS[1])
local left = redis.call('PTTL', KEYS[1])
if holder and holder ~= ARGV[1] and left >= 0 and left <= {TERMS_MAX} * ARGV[2] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
""")

# Compares the token: if the term has ended, the key may be another candidate's.
_RESIGN = Script("""
if call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
""")


class Election:
    """One candidate, identified by a unique `token`. Methods raise redis.RedisError."""

    def __init__(self, redis: Redis, token: str, *, term_s: float) -> None:
        self._redis = redis
        self.token = token
        self._term_ms = int(term_s * 1000)
        # The result of the last campaign. It stays valid during a Redis outage, when no other candidate can win.
        self.elected = False

    async def campaign(self) -> bool:
        """Take or renew the leadership for one term; False when another candidate has it.

        Call it again well before the term ends.
        """
        return self.decided(await run_one(self._redis, self.campaigning()))

    def campaigning(self) -> Call:
        """The call of `campaign`, for a caller that sends it with others and passes its answer to `decided`."""
        return _CAMPAIGN([ELECTED_KEY], self.token, self._term_ms)

    def decided(self, won: int) -> bool:
        """Record the answer of the campaign; whether this candidate is the leader."""
        self.elected = bool(won)
        return self.elected

    async def resign(self) -> None:
        """Give up the leadership, so that another candidate can win at once."""
        self.elected = False
        await run_one(self._redis, _RESIGN([ELECTED_KEY], self.token))
