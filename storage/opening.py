"""Turns addresses into a store and a Redis client: the only place that knows that there are two stores."""

import asyncio
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import unquote, urlsplit

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import TimeoutError as RedisTimeoutError

from .blobs import BlobStore
from .config import Config
from .files import FileStore
from .s3 import S3Address, S3Store


class _Cancellable(AbstractConnection):
    """A connection whose sending can be cancelled.

    redis-py sends under `asyncio.wait_for` where there is a `socket_timeout`. On Python 3.11 that loses a cancellation
    which comes when the bytes have just been handed over (python/cpython#86296): a stop would wait for ever for a task
    that goes on, and an `asyncio.timeout` would never end. It also costs a task for each command.
    """

    async def send_packed_command(self, command: bytes | str | Iterable[bytes], check_health: bool = True) -> None:  # noqa: FBT001, FBT002 - redis-py's
        """As redis-py's, within the same time; redis.TimeoutError."""
        await self.connect()  # type: ignore[no-untyped-call] # within its own times
        limit_s, self.socket_timeout = self.socket_timeout, None
        try:
            async with asyncio.timeout(limit_s):
                await super().send_packed_command(command, check_health)
        except TimeoutError:
            raise RedisTimeoutError("Timeout writing to socket") from None
        finally:
            self.socket_timeout = limit_s


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
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=config.redis_connections_max,
        timeout=config.redis_timeout_s,
        socket_timeout=config.redis_timeout_s,
        socket_connect_timeout=config.redis_timeout_s,
    )
    pool.connection_class = type("Connection", (_Cancellable, pool.connection_class), {})
    return Redis.from_pool(pool)
