"""What the programs must be allowed to do in Redis, and the test whether a user is.

The first connection of a pool is tested before its first command, and again after Redis refused one. A user without a
right would otherwise be noticed late, by what one program cannot do: without INFO all uploads work, and nothing that
Redis loses is ever queued again. ACL users of balancers need less: lb/README.md.
"""

import logging
import time
from collections.abc import Sequence
from typing import Any

from redis.exceptions import NoPermissionError, ResponseError

from .keys import KEY_PATTERNS

log = logging.getLogger("snapsurge.storage.rights")

# Commands with as many words as they need; `k` stands for a key.
COMMANDS = (
    *("BLPOP k 1", "DEL k", "EVAL s 1 k", "EVALSHA s 1 k", "EXISTS k", "EXPIRE k 1", "GET k", "HDEL k f", "HGET k f"),
    *("HGETALL k", "HINCRBY k f 1", "HLEN k", "HMGET k f", "HSET k f v", "INFO", "LLEN k", "MGET k", "PEXPIRE k 1"),
    *("PING", "PTTL k", "RPUSH k v", "SADD k v", "SCARD k", "SCRIPT LOAD s", "SET k v", "SMEMBERS k", "SREM k v"),
    *("TIME", "TYPE k"),
    *("ZADD k 1 v", "ZCARD k", "ZCOUNT k 0 1", "ZMSCORE k v", "ZRANGE k 0 1", "ZRANGEBYSCORE k 0 1"),
    *("ZREM k v", "ZREMRANGEBYSCORE k 0 1", "ZREVRANGEBYSCORE k 1 0"),
)
# Of operators' commands alone (`processors verify`), which say it if the right is missing: nodes go on without.
OPERATORS = ("SCAN 0",)
# Seconds for which a pool does not dial a Redis again that has just been found to lack rights.
AGAIN_S = 1.0
# ARGV: the keys, and the commands, each as one text of lines: Redis closes a connection without a login that sends more
# than ten arguments, and then nobody would learn that the login is missing. Returns the commands that the user may not
# run on one of the keys.
_LACKING = """#!lua flags=no-writes,allow-stale
local lacking = {}
for command in string.gmatch(ARGV[2], '[^%c]+') do
  for key in string.gmatch(ARGV[1], '[^%c]+') do
    local words = {}
    for word in string.gmatch(command, '%S+') do words[#words + 1] = word == 'k' and key or word end
    local known, may = pcall(redis.acl_check_cmd, unpack(words))
    if known and not may then
      lacking[#lacking + 1] = command
      break
    end
  end
end
return lacking
"""


def rule(commands: Sequence[str] = (*COMMANDS, *OPERATORS)) -> str:
    """What an ACL rule must contain, so that the user may run these commands."""
    names = ("|".join(one.split()[:2]) if one.startswith("SCRIPT") else one.split()[0] for one in commands)
    return " ".join([*(f"~{key}" for key in KEY_PATTERNS), *(f"+{name.lower()}" for name in names)])


class RightsMissing(NoPermissionError):
    """The user of a Redis lacks rights; the text names both, and what to do. It was logged."""


class Rights:
    """Whether the user of one Redis was found to have all rights; the connections of a pool share it."""

    def __init__(self, name: str) -> None:
        self.tested = False
        self._name = name
        self._refused: RightsMissing | None = None
        self._refused_s = 0.0

    def name_in(self, error: Exception) -> None:
        """Add to an error which Redis it is from, as `refusals.reason` shows it: the error's own text does not say."""
        if not getattr(error, "__notes__", ()):
            error.add_note(f"Redis {self._name}")

    def remember(self) -> None:
        """RightsMissing if rights were missing a moment ago; called before a connection is made."""
        if self._refused and time.monotonic() - self._refused_s < AGAIN_S:
            raise self._refused

    async def test(self, connection: Any) -> None:  # noqa: ANN401 - redis-py's
        """Ask the server what its user lacks; RightsMissing."""
        keys = "\n".join(key.replace("*", "") for key in KEY_PATTERNS)
        await connection.send_command("EVAL", _LACKING, 0, keys, "\n".join(COMMANDS))
        try:
            lacking = [one.decode() for one in await connection.read_response()]
        except NoPermissionError:
            lacking = ["EVAL s 1 k"]
        except ResponseError:  # busy, or a server that cannot tell: the commands will show it
            return
        self.tested = not lacking
        if lacking:
            self.refuse(lacking)
        if self._refused:
            log.warning("Redis %s: its user has all rights now", self._name)
            self._refused = None

    def refuse(self, lacking: Sequence[str]) -> None:
        """RightsMissing, logged when it is new."""
        names = ", ".join(one.split()[0] for one in lacking)
        text = f"Redis {self._name}: its user may not run {names}: add to its ACL rule: {rule(lacking)}"
        if self._refused is None or str(self._refused) != text:
            log.error("%s (storage/README.md has all rights)", text)
        self._refused, self._refused_s = RightsMissing(text), time.monotonic()
        raise self._refused
