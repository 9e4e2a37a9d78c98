"""Which of several autoscalers decides: whoever holds a key in Redis that ends by itself unless it is renewed.

One script takes the key where it is free and renews it where it is ours. A holder that dies is followed within a term,
one that resigns at once. This is no fence: for an instant two may believe to be elected, so what the elected does must
be harmless when two do it. Scaling and sweeping are.
"""

from redis.asyncio import Redis

from storage.keys import ELECTED_KEY

# A holder whose term has longer to go than this many of ours has died before Redis' clock was set back.
TERMS_MAX = 10

_CAMPAIGN = f"""
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] and redis.call('PTTL', KEYS[1]) <= {TERMS_MAX} * ARGV[2] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""

_RESIGN = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
"""


class Election:
    """One candidate, known by a token that no other has. Methods raise redis.RedisError."""

    def __init__(self, redis: Redis, token: str, *, term_s: float) -> None:
        self._redis = redis
        self._token = token
        self._term_ms = int(term_s * 1000)
        # The last answer: while Redis is away nobody can be elected anew, so the elected one stays.
        self.elected = False

    async def campaign(self) -> bool:
        """Be elected, or stay so, for another term, unless somebody else is. To be called well within the term."""
        won = await self._redis.eval(_CAMPAIGN, 1, ELECTED_KEY, self._token, str(self._term_ms))  # type: ignore[misc] # its types
        self.elected = bool(won)
        return self.elected

    async def resign(self) -> None:
        """Let another one be elected at once."""
        self.elected = False
        await self._redis.eval(_RESIGN, 1, ELECTED_KEY, self._token)  # type: ignore[misc] # as above
