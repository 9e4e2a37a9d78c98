"""Turns addresses into a store and a Redis client: the only place that knows that there are two stores."""

import asyncio
import itertools
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

# A server that refuses is dialled anew at most this often by each connection: behind the address may be another one by
# now, but redialling for every command would use up the ports.
REDIAL_S = 1.0


class _Connection(AbstractConnection):
    """A connection whose sending can be cancelled, and that is dialled anew after the server has refused.

    redis-py sends under `asyncio.wait_for` where there is a `socket_timeout`. On Python 3.11 that loses a cancellation
    which comes when the bytes have just been handed over (python/cpython#86296): a stop would wait for ever for a task
    that goes on, and an `asyncio.timeout` would never end. It also costs a task for each command.

    A demoted primary keeps its sessions: who does not dial again writes to it for ever, though the address leads to the
    new primary. `refused` is called with each refusal; an `outdated` connection is closed before its next command, not
    at once, so that the answers of a pipeline are all read.
    """

    refused: Callable[[], None]
    outdated = False
    dialled_s = 0.0

    async def connect(self) -> None:
        """As redis-py's; what is outdated is closed first."""
        if self.outdated and self.is_connected and time.monotonic() - self.dialled_s > REDIAL_S:
            await self.disconnect(nowait=True)
        if not self.is_connected:
            self.outdated, self.dialled_s = False, time.monotonic()
        await super().connect()  # type: ignore[no-untyped-call] # redis-py's

    async def read_response(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - redis-py's
        """As redis-py's."""
        try:
            return await super().read_response(*args, **kwargs)
        except RedisError as error:
            if is_refusal(error):
                self.refused()
            raise

    async def send_packed_command(self, command: bytes | str | Iterable[bytes], check_health: bool = True) -> None:  # noqa: FBT001, FBT002 - redis-py's
        """As redis-py's, within the same time; redis.TimeoutError."""
        await self.connect()  # within its own times
        limit_s, self.socket_timeout = self.socket_timeout, None
        try:
            async with asyncio.timeout(limit_s):
                await super().send_packed_command(command, check_health)
        except TimeoutError:
            raise RedisTimeoutError("Timeout writing to socket") from None
        finally:
            self.socket_timeout = limit_s


class _Pool(BlockingConnectionPool):
    """A pool all of whose connections are outdated when the server refuses one command."""

    def make_connection(self) -> _Connection:
        """As redis-py's."""
        made: _Connection = super().make_connection()  # type: ignore[no-untyped-call] # redis-py's
        made.refused = self._outdate
        return made

    def _outdate(self) -> None:
        """Readers too: a replica answers them for ever, with what was true when it was demoted."""
        there: Iterable[Any] = itertools.chain(self._available_connections, self._in_use_connections)
        for one in there:
            one.outdated = True


class _Pipeline(Pipeline):
    """A pipeline whose errors are as Redis gave them, without the command: that has the posts and users in it."""

    def annotate_exception(self, exception: Exception, number: int, command: Iterable[object]) -> None:
        """Nothing."""


class _Client(Redis):
    """A client with such pipelines."""

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> Pipeline:  # noqa: FBT001, FBT002 - redis-py's
        """As redis-py's."""
        return _Pipeline(self.connection_pool, self.response_callbacks, transaction, shard_hint)


def blob_store(config: Config) -> BlobStore:
    """The store of `SNAPSURGE_STORE_URL`, not yet entered; ValueError when the address is none."""
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
    """A client of `SNAPSURGE_REDIS_URL`: its pool waits instead of growing, and no call outlasts the timeout."""
    return _client(config.redis_url, config)


def queue_clients(config: Config) -> dict[str, Redis]:
    """A client of each Redis of `SNAPSURGE_QUEUE_URLS` by its address without credentials; ValueError on a double."""
    urls = [url.strip() for url in config.queue_urls.split(",") if url.strip()] or [config.redis_url]
    clients = {_name(url): _client(url, config) for url in urls}
    if len(clients) < len(urls):
        raise ValueError("SNAPSURGE_QUEUE_URLS names a Redis twice")
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
