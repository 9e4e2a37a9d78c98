"""Connections to a Redis: a bounded pool that follows the primary, and sends that can be cancelled."""

import asyncio
import itertools
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext, suppress
from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.client import Pipeline
from redis.asyncio.connection import AbstractConnection, SSLConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from .redis_address import RedisAddress, closed_early
from .refusals import is_refusal
from .rights import Rights
from .sentinels import PrimaryConnection, Sentinels

# After a refusal each connection reconnects at most this often. The address may lead to another server by now, but
# reconnecting for every command would exhaust the local ports.
REDIAL_S = 1.0


class ServerConnection(AbstractConnection):
    """A connection whose sends can be cancelled, and which reconnects after the server has refused a command.

    redis-py sends under `asyncio.wait_for` if there is a `socket_timeout`. On Python 3.11 `wait_for` loses a
    cancellation that arrives just after the bytes were sent (python/cpython#86296): a shutdown would wait forever for a
    task that goes on, and an `asyncio.timeout` would never end. It also costs a task for each command.

    A demoted primary keeps its sessions, so a client that never reconnects goes on writing to it, although the address
    leads to the new primary. A server that hangs, or that a broken network hides, answers none of its connections.
    `failed` is called on each refusal, and when no answer came in time. An `outdated` connection is closed before its
    next command, not at once, so that all answers of a pipeline are read.
    """

    failed: Callable[[], None]
    rights: Rights
    outdated = False
    dialled_s = 0.0

    async def connect(self) -> None:
        """Connect as redis-py does, after closing an outdated connection."""
        if self.outdated and self.is_connected and time.monotonic() - self.dialled_s > REDIAL_S:
            await self.disconnect(nowait=True)
        if not self.is_connected:
            self.rights.remember()
            self.outdated, self.dialled_s = False, time.monotonic()
        await super().connect()  # type: ignore[no-untyped-call] # redis-py's

    async def on_connect(self) -> None:
        """Greet as redis-py does, and test the user's rights if nobody did; rights.RightsMissing."""
        await super().on_connect()
        if not self.rights.tested:
            await self.rights.test(self)

    async def read_response(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - redis-py's
        """Read as redis-py does, and report a refusal, or that no answer came, to the pool."""
        try:
            return await super().read_response(*args, **kwargs)
        except RedisError as error:
            if is_refusal(error):
                self.rights.name_in(error)
            if is_refusal(error) or isinstance(error, RedisTimeoutError):
                self.failed()
            raise

    async def send_packed_command(self, command: bytes | str | Iterable[bytes], check_health: bool = True) -> None:  # noqa: FBT001, FBT002 - redis-py's
        """Send as redis-py does, with the same time limit but without `asyncio.wait_for`; redis.TimeoutError."""
        await self.connect()  # connecting has its own time limits
        limit_s, self.socket_timeout = self.socket_timeout, None
        try:
            async with asyncio.timeout(limit_s):
                await super().send_packed_command(command, check_health)
        except TimeoutError:
            self.failed()
            raise RedisTimeoutError("Timeout writing to socket") from None
        finally:
            self.socket_timeout = limit_s


class _PrimaryConnection(ServerConnection, PrimaryConnection):
    """The same to the primary of a Sentinel group."""


class Pool(BlockingConnectionPool):
    """A pool that marks all its connections outdated when one command is refused or has no answer.

    Also connections that only read: a demoted primary would go on answering with stale data. And also idle ones: each
    would cost a command before it was found out.
    """

    def __init__(self, name: str, *, sentinels: Sentinels | None, **options: Any) -> None:  # noqa: ANN401 - redis-py's
        super().__init__(**options)
        self._rights = Rights(name)
        self._sentinels = sentinels
        self._tls: Any = None

    async def term(self) -> int:
        """The number of the group's last failover, as its Sentinels say now; 0 without Sentinels."""
        if self._sentinels is None:
            return 0
        with suppress(RedisConnectionError):  # the command that follows fails too, or the primary works without them
            await self._sentinels.find()
        return self._sentinels.term

    async def known_term(self) -> int:
        """The same as last heard, usually without a question."""
        if self._sentinels is None:
            return 0
        with suppress(RedisConnectionError):
            await (self._sentinels.look() if self._sentinels.primary else self._sentinels.find())
        return self._sentinels.term

    @property
    def heard(self) -> bool:
        """Whether the Sentinels have named the primary lately; True without Sentinels."""
        return self._sentinels is None or self._sentinels.heard

    @asynccontextmanager
    async def only_primary(self) -> AsyncIterator[None]:
        """See the function `only_primary`."""
        number = await self.term()
        yield
        if self._sentinels is not None:
            await self._sentinels.settled(number)

    def make_connection(self) -> ServerConnection:
        """Create a connection that reports failures to this pool; all share one TLS context, which is dear to make."""
        made: ServerConnection = super().make_connection()  # type: ignore[no-untyped-call] # redis-py's
        made.failed, made.rights = self._outdate, self._rights
        if isinstance(made, PrimaryConnection) and self._sentinels:
            made.sentinels = self._sentinels
        if isinstance(made, SSLConnection):
            logging.getLogger("asyncio").addFilter(closed_early)
            self._tls = self._tls or made.ssl_context
            made.ssl_context = self._tls
        return made

    async def disconnect(self, inuse_connections: bool = True) -> None:  # noqa: FBT001, FBT002 - redis-py's
        """Close the connections as redis-py does, and those to the Sentinels."""
        await super().disconnect(inuse_connections)
        if self._sentinels:
            await self._sentinels.aclose()

    def _outdate(self) -> None:
        self._rights.tested = False
        there: Iterable[Any] = itertools.chain(self._available_connections, self._in_use_connections)
        for one in there:
            one.outdated = True


class _Pipeline(Pipeline):
    """A pipeline whose errors do not include the command, because commands contain posts and user ids."""

    def annotate_exception(self, exception: Exception, number: int, command: Iterable[object]) -> None:
        """Leave the error's text as Redis sent it."""


class _Client(Redis):
    """A Redis client that creates `_Pipeline`s."""

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> Pipeline:  # noqa: FBT001, FBT002 - redis-py's
        """Create a pipeline, with redis-py's parameters."""
        return _Pipeline(self.connection_pool, self.response_callbacks, transaction, shard_hint)


def client_of(address: RedisAddress, *, connections_max: int, timeout_s: float) -> Redis:
    """A client of the Redis at this address, whose calls wait for a connection and time out."""
    group = address.sentinels
    sentinels = Sentinels(address.primary, group, limit_s=timeout_s) if group else None
    limits: dict[str, Any] = {"timeout": timeout_s, "socket_timeout": timeout_s, "socket_connect_timeout": timeout_s}
    options = limits | {"max_connections": connections_max} | address.options
    ours = _PrimaryConnection if group else ServerConnection
    options["connection_class"] = type("Connection", (ours, options["connection_class"]), {})
    return _Client.from_pool(Pool(address.name, sentinels=sentinels, **options))


async def term(redis: Redis) -> int:
    """The number of the last failover of this client's Sentinel group; 0 without Sentinels."""
    pool = redis.connection_pool
    return await pool.term() if isinstance(pool, Pool) else 0


async def known_term(redis: Redis) -> int:
    """The same as heard within the last seconds, usually without a question to the Sentinels."""
    pool = redis.connection_pool
    return await pool.known_term() if isinstance(pool, Pool) else 0


def heard(redis: Redis) -> None:
    """redis.ConnectionError unless a majority of the Sentinels, if there are any, has named the primary lately."""
    pool = redis.connection_pool
    if isinstance(pool, Pool) and not pool.heard:
        raise RedisConnectionError("a majority of the Sentinels has not named the primary lately")


def only_primary(redis: Redis) -> AbstractAsyncContextManager[None]:
    """At the end, what the block wrote is at the one primary, and nobody reads from one before it.

    redis.ConnectionError when the Sentinels do not confirm that. Without Sentinels nobody can, and nothing is asked.
    """
    pool = redis.connection_pool
    return pool.only_primary() if isinstance(pool, Pool) else nullcontext()
