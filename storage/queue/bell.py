"""The bell of a queue: wakes idle workers when a job is enqueued, so that they need not poll for it.

The bell is a Redis list. A script that makes jobs ready appends one entry for about every two of them; an idle worker
blocks until it gets an entry, and then claims. One entry wakes one worker. An entry without a job costs one claim that
finds nothing; a job without an entry (its lease ended, its backoff passed) is found by a claim, whose answer says when
the next job is due. So the list may be lost or wrong at any time. It is bounded, for times when no worker is idle.
"""

import asyncio
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import TimeoutError as RedisTimeoutError

from ..keys import BELL_KEY

# Entries that wait for workers; more idle workers than that wake by their own timer.
_BELL_MAX = 64

# Defines `ring(jobs)`. The loop is bounded by `_BELL_MAX`.
RING = f"""
local function ring(jobs)
  local entries, room = {{}}, jobs > 0 and {_BELL_MAX} - call('LLEN', '{BELL_KEY}') or 0
  while #entries < room and #entries * 2 < jobs do entries[#entries + 1] = '' end
  if #entries > 0 then call('RPUSH', '{BELL_KEY}', unpack(entries)) end
end
"""


async def rung(redis: Redis, seconds: float, *, patience_s: float) -> bool:
    """Wait for the bell at most so many seconds; whether it rang. redis.RedisError.

    Occupies one connection of the pool. `patience_s` more seconds without any answer mean that Redis is unavailable;
    the client's own timeout is shorter than this wait.
    """
    pool = redis.connection_pool
    connection: Any = await pool.get_connection()
    try:
        async with asyncio.timeout(seconds + patience_s):
            await connection.send_command("BLPOP", BELL_KEY, seconds)
            # Interrupted by the timeout above, or cancelled, the connection closes itself: an answer may still come.
            return await connection.read_response(timeout=seconds + 2 * patience_s) is not None
    except TimeoutError:
        raise RedisTimeoutError("no answer to BLPOP") from None
    finally:
        await pool.release(connection)


async def ring(redis: Redis) -> None:
    """Add one entry, for one idle worker; redis.RedisError."""
    await redis.rpush(BELL_KEY, "")  # type: ignore[misc] # redis-py's types
