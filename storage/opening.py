"""Turns addresses into a store and Redis clients: the only module that chooses between the two store classes."""

import asyncio
import itertools
import logging
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.client import Pipeline
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from .blobs import BlobStore
from .config import Config
from .files import FileStore
from .refusals import is_refusal
from .s3.store import S3Address, S3Store

log = logging.getLogger("snapsurge.storage.opening")

# After a refusal each connection reconnects at most this often. The address may lead to another server by now, but
# reconnecting for every command would exhaust the local ports.
REDIAL_S = 1.0


class _Connection(AbstractConnection):
    """A connection whose sends can be cancelled, and which reconnects after the server has refused a command.

    redis-py sends under `asyncio.wait_for` if there is a `socket_timeout`. On Python 3.11 `wait_for` loses a
    cancellation that arrives just after the bytes were sent (python/cpython#86296): a shutdown would wait forever for a
    task that goes on, and an `asyncio.timeout` would never end. It also costs a task for each command.

    A demoted primary keeps its sessions, so a client that never reconnects goes on writing to it, although the address
    leads to the new primary. `refused` is called on each refusal. An `outdated` connection is closed before its next
    command, not at once, so that all answers of a pipeline are read.
    """

    refused: Callable[[], None]
    outdated = False
    dialled_s = 0.0

    async def connect(self) -> None:
        """Connect as redis-py does, after closing an outdated connection."""
        if self.outdated and self.is_connected and time.monotonic() - self.dialled_s > REDIAL_S:
            await self.disconnect(nowait=True)
        if not self.is_connected:
            self.outdated, self.dialled_s = False, time.monotonic()
        await super().connect()  # type: ignore[no-untyped-call] # redis-py's

    async def read_response(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - redis-py's
        """Read as redis-py does, and report a refusal to the pool."""
        try:
            return await super().read_response(*args, **kwargs)
        except RedisError as error:
            if is_refusal(error):
                self.refused()
            raise

    async def send_packed_command(self, command: bytes | str | Iterable[bytes], check_health: bool = True) -> None:  # noqa: FBT001, FBT002 - redis-py's
        """Send as redis-py does, with the same time limit but without `asyncio.wait_for`; redis.TimeoutError."""
        await self.connect()  # connecting has its own time limits
        limit_s, self.socket_timeout = self.socket_timeout, None
        try:
            async with asyncio.timeout(limit_s):
                await super().send_packed_command(command, check_health)
        except TimeoutError:
            raise RedisTimeoutError("Timeout writing to socket") from None
        finally:
            self.socket_timeout = limit_s


class _Pool(BlockingConnectionPool):
    """A pool that marks all its connections outdated when the server refuses one command."""

    def make_connection(self) -> _Connection:
        """Create a connection that reports refusals to this pool."""
        made: _Connection = super().make_connection()  # type: ignore[no-untyped-call] # redis-py's
        made.refused = self._outdate
        return made

    def _outdate(self) -> None:
        """Also connections that only read: a demoted primary would go on answering with stale data."""
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


def blob_store(config: Config) -> BlobStore:
    """The store at `SNAPSURGE_STORE_URL`, not yet entered; ValueError when the address is invalid."""
    parts = urlsplit(config.store_url)
    if parts.scheme == "file" and parts.path.startswith("/") and not parts.netloc:
        return FileStore(Path(unquote(parts.path)), threads=config.file_threads)
    if parts.scheme == "s3":
        return S3Store(
            S3Address.parse(config.store_url),
            connections_max=config.s3_connections_max,
            connect_timeout_s=config.s3_connect_timeout_s,
            read_timeout_s=config.s3_read_timeout_s,
            attempts_max=config.s3_attempts_max,
        )
    raise ValueError(f"not a store address: {config.store_url!r}; write file:///path or s3://bucket?endpoint=…")


def redis_client(config: Config) -> Redis:
    """A client of `SNAPSURGE_REDIS_URL`: a bounded pool, on which calls wait, and a timeout for each call."""
    return _client(config.redis_url, config)


def shard_clients(config: Config, redis: Redis) -> dict[str, Redis]:
    """A client of each Redis in `SNAPSURGE_SHARD_URLS`, by address without credentials; ValueError on a duplicate.

    Without shards, or where a shard is at `SNAPSURGE_REDIS_URL`, it is `redis`, the client of that address.
    """
    if config.shard_urls and config.queue_urls:
        raise ValueError("SNAPSURGE_QUEUE_URLS is the former name of SNAPSURGE_SHARD_URLS: set only the latter")
    if config.queue_urls:
        log.warning("SNAPSURGE_QUEUE_URLS is now SNAPSURGE_SHARD_URLS; the next version refuses the old name")
    given = config.shard_urls or config.queue_urls
    urls = [url.strip() for url in given.split(",") if url.strip()] or [config.redis_url]
    clients = {_name(url): redis if url == config.redis_url else _client(url, config) for url in urls}
    if len(clients) < len(urls):
        raise ValueError("SNAPSURGE_SHARD_URLS names a Redis twice")
    return clients


def _name(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.netloc.rpartition('@')[2]}{parts.path}"


def _client(url: str, config: Config) -> Redis:
    pool = _Pool.from_url(
        url,
        max_connections=config.redis_connections_max,
        timeout=config.redis_timeout_s,
        socket_timeout=config.redis_timeout_s,
        socket_connect_timeout=config.redis_timeout_s,
    )
    pool.connection_class = type("Connection", (_Connection, pool.connection_class), {})
    return _Client.from_pool(pool)
