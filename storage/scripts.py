"""Lua scripts in Redis, called by their digest, several in one round trip.

Redis keeps a script under the SHA-1 of its text until it restarts; a call by digest saves Redis the text and its
hashing. A Redis that does not have a script says so before it runs anything: the call is then sent again with the text.

Redis is a copy of the store, so a value of the wrong form must not stop a script, and with it all other entries. Each
script begins with `call(command, key, ...)` (`MENDING`), which removes what has the wrong form, and goes on as if it
had been missing; the sweeper restores it from the store. Scripts use `redis.call` only for commands that cannot meet
such a value.
"""

import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple

from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.exceptions import NoScriptError

from .causes import raise_first

# A key of another type is deleted, a field that should be a number and is not is removed. Redis did nothing where it
# answers an error, so the command can be sent again; any other error is raised by that.
MENDING = """local function call(command, key, ...)
  local answer = redis.pcall(command, key, ...)
  local wrong = type(answer) == 'table' and answer.err
  if not wrong then return answer end
  if string.find(wrong, 'WRONGTYPE', 1, true) then
    redis.log(redis.LOG_WARNING, 'deleted the key '..key..', which had another type')
    redis.call('DEL', key)
  elseif command == 'HINCRBY' and (string.find(wrong, 'not an integer') or string.find(wrong, 'overflow')) then
    redis.log(redis.LOG_WARNING, 'removed the field '..(...)..' of '..key..', which was no number')
    redis.call('HDEL', key, (...))
  end
  return redis.call(command, key, ...)
end
"""


class Script:
    """A script; called with its keys and arguments, it makes a `Call`."""

    def __init__(self, text: str) -> None:
        # The line with the flags must be the first.
        flags, end, rest = text.partition("\n") if text.startswith("#!") else ("", "", text)
        self.text = text = flags + end + MENDING + rest
        self.digest = hashlib.sha1(text.encode()).hexdigest()  # noqa: S324 - Redis' name of the script, not security

    def __call__(self, keys: Sequence[str] = (), *arguments: Any) -> "Call":  # noqa: ANN401 - what redis-py encodes
        """A call with these keys and arguments, for `run`."""
        return Call(self, (len(keys), *keys, *arguments))


class Call(NamedTuple):
    """A call of a script: the number of its keys, the keys, the arguments."""

    script: Script
    words: tuple[Any, ...]


async def run(redis: Redis, *calls: Call) -> list[Any]:
    """The answers of these calls, sent in one round trip; the first error among them is raised, a redis.RedisError.

    The calls are not one transaction. If Redis lacks a script, that call runs after the others.
    """
    pipe: Pipeline = redis.pipeline(transaction=False)
    for call in calls:
        pipe.execute_command("EVALSHA", call.script.digest, *call.words)
    answers: list[Any] = await pipe.execute(raise_on_error=False)
    missing = [position for position, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
    if missing:
        for position in missing:
            pipe.execute_command("EVAL", calls[position].script.text, *calls[position].words)
        again: list[Any] = await pipe.execute(raise_on_error=False)
        for position in missing:
            answers[position] = again.pop(0)
    raise_first(answers)
    return answers


async def run_one(redis: Redis, call: Call) -> Any:  # noqa: ANN401 - Lua's answer
    """The answer of this call; redis.RedisError."""
    return (await run(redis, call))[0]
