"""Follows the primary of a Sentinel group: where it is now, and connections that go there.

All Sentinels are asked at once, and a majority of answers is enough, so one that hangs delays nothing. Of different
answers the youngest failover's counts: a Sentinel that was cut off still names the old primary. A server that says that
it is a replica is not used, whatever the Sentinels say. While commands run, the Sentinels are asked again every
`LOOK_S`, because an old primary that was cut off from its Sentinels goes on answering. As soon as they name another
server, every connection of the pool to the old one is closed before its next command.

Sentinels number their failovers. The highest number heard is the *term*: a server that is the primary in two terms was
possibly not the primary in between.

`lb/membership/sentinels.py` and `storage/sentinels.py` are one text, because the balancer imports no other package.
"""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

# The Sentinels are asked at most this often; an answer is shared by all connections that are made meanwhile.
AGAIN_S = 0.1
# How long a connection that works may go on with a primary that the Sentinels have replaced.
LOOK_S = 2.0
# How long the word of a majority counts for readers who must not read from a primary that was replaced.
HEARD_S = 4.0
# When a failover was heard of so long ago, no such reader is left: `HEARD_S`, 2 s until all Sentinels have told each
# other, and one question.
SETTLED_S = 7.0

Address = tuple[str, int]


class Sentinels:
    """The Sentinels of one group, and the last primary that they named. `limit_s` bounds one question to them."""

    def __init__(self, name: str, options: Sequence[dict[str, Any]], *, limit_s: float) -> None:
        self.primary: Address | None = None
        self.term = 0
        self._heard_s = self._changed_s = float("-inf")
        self._name = name
        self._limit_s = limit_s
        self._clients = [Redis.from_pool(ConnectionPool(**one)) for one in options]
        self._failure: RedisError | None = None
        self._asked_s = float("-inf")
        self._lock = asyncio.Lock()

    @property
    def heard(self) -> bool:
        """Whether a majority of the Sentinels has named the primary within `HEARD_S`."""
        return time.monotonic() - self._heard_s <= HEARD_S

    async def settled(self, term: int) -> None:
        """Return when nobody reads from a primary of an earlier term; redis.ConnectionError unless this one lasts."""
        await asyncio.sleep(self._changed_s + SETTLED_S - time.monotonic())
        now = time.monotonic()
        await self.find(now)
        if self._heard_s < now or self.term != term:
            raise RedisConnectionError("a majority of the Sentinels did not confirm the primary")

    async def find(self, since_s: float = float("-inf")) -> Address:
        """The primary, by an answer no older than `AGAIN_S`; redis.ConnectionError when no Sentinel knows one.

        With `since_s`, by a question that began later.
        """
        async with self._lock:
            if time.monotonic() - self._asked_s > AGAIN_S or self._heard_s < since_s:
                try:
                    self.primary, self._failure = await self._ask(), None
                except RedisConnectionError as error:
                    self._failure = error
                self._asked_s = time.monotonic()
            if self._failure or not self.primary:
                raise RedisConnectionError(str(self._failure))
            return self.primary

    async def look(self) -> None:
        """Ask again if nobody did for `LOOK_S`; without an answer, the primary stays as it is."""
        if time.monotonic() - self._asked_s > LOOK_S and not self._lock.locked():
            with suppress(RedisConnectionError):
                await self.find()

    def doubt(self, address: Address) -> None:
        """The server there is no primary: it is not dialled again before the Sentinels were asked again."""
        self._failure = RedisConnectionError(f"{address[0]}:{address[1]} is a replica, not the primary {self._name}")

    async def aclose(self) -> None:
        """Close the connections to the Sentinels; a later question makes new ones."""
        for client in self._clients:
            await client.aclose()

    async def _ask(self) -> Address:
        named: list[tuple[int, Address]] = []
        failures: list[str] = []
        began_s = time.monotonic()
        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(self._answer(one), name="sentinel") for one in self._clients]
            for each in asyncio.as_completed(asked):
                answer = await each
                if isinstance(answer, str):
                    failures.append(answer)
                else:
                    named.append(answer)
                if 2 * len(named) > len(asked):
                    break
            for task in asked:
                task.cancel()
        if not named:
            raise RedisConnectionError(f"the Sentinels know no primary {self._name}: {'; '.join(sorted({*failures}))}")
        number, address = max(named)
        if number > self.term or address != self.primary:
            self._changed_s = time.monotonic()
        if 2 * len(named) > len(self._clients):
            self._heard_s = began_s
        self.term = max(self.term, number)
        return address

    async def _answer(self, client: Redis) -> tuple[int, Address] | str:
        """The number of the last failover and its primary, or why this Sentinel names none."""
        try:
            # No `socket_timeout`: with one, redis-py sends under `asyncio.wait_for`, which loses cancellations.
            async with asyncio.timeout(self._limit_s):
                state = await client.sentinel_master(self._name)  # type: ignore[no-untyped-call] # redis-py's
        except TimeoutError:
            return f"no answer within {self._limit_s} s (a longer timeout shows an error of TLS or of a host name)"
        except (RedisError, OSError) as error:
            return str(error)
        if state["is_sdown"] or state["is_odown"] or not state["is_master"]:
            return f"{state['ip']}:{state['port']} is down"
        return state["config-epoch"], (state["ip"], state["port"])


class PrimaryConnection(AbstractConnection):
    """A connection to the primary of the group: mix it with a connection of redis-py, and set `sentinels`."""

    sentinels: Sentinels
    host: str
    port: int
    greeted = False

    async def connect(self) -> None:
        """Connect as redis-py does, to the primary; close a connection to a server that is no longer the primary."""
        if self.is_connected and self.greeted:
            await self.sentinels.look()
            if self.sentinels.primary != (self.host, self.port):
                await self.disconnect(nowait=True)
        if not self.is_connected:
            self.greeted = False
            self.host, self.port = await self.sentinels.find()
        await super().connect()  # type: ignore[no-untyped-call] # redis-py's

    async def on_connect(self) -> None:
        """Greet as redis-py does, and ask the server for its role; redis.ConnectionError if it is a replica."""
        await super().on_connect()
        await self.send_command("HELLO")
        said = await self.read_response()
        answer = said if isinstance(said, dict) else dict(zip(said[::2], said[1::2], strict=True))
        if answer[b"role"] != b"master":
            address = (self.host, self.port)
            self.sentinels.doubt(address)
            raise RedisConnectionError(f"{address[0]}:{address[1]} is a replica, not the primary")
        self.greeted = True
