"""Turns addresses into a store and Redis clients: the only module that chooses between the two store classes."""

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from redis.asyncio import Redis

from .blobs import BlobStore
from .config import Config
from .connections import client_of
from .files import FileStore
from .redis_address import RedisAddress, read
from .s3.address import S3Address
from .s3.store import S3Store

# Where an address begins in a list: the Sentinels of one address are separated by commas too.
ADDRESS = re.compile(r",\s*(?=[a-z+]+://)")


def blob_store(config: Config, *, examines: bool = False) -> BlobStore:
    """The store at `SNAPSURGE_STORE_URL`, not yet entered; ValueError when the address is invalid.

    `examines`: entering it tests an S3 store, unless `SNAPSURGE_STORAGE_PROBE` is off.
    """
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
            examines=examines and config.probe == "on",
        )
    raise ValueError(f"not a store address: {config.store_url!r}; write file:///path or s3://bucket?endpoint=…")


def redis_client(config: Config) -> Redis:
    """A client of `SNAPSURGE_REDIS_URL`: a bounded pool, on which calls wait, and a timeout for each call.

    ValueError when the address is invalid.
    """
    return _client(_read("SNAPSURGE_REDIS_URL", config.redis_url), config)


def queue_clients(config: Config) -> dict[str, Redis]:
    """A client for each Redis in `SNAPSURGE_QUEUE_URLS`, by address without credentials.

    ValueError when an address is invalid, or named twice.
    """
    found = [_read("SNAPSURGE_QUEUE_URLS", url) for url in ADDRESS.split(config.queue_urls) if url.strip()]
    addresses = found or [_read("SNAPSURGE_REDIS_URL", config.redis_url)]
    if len({address.name for address in addresses}) < len(addresses):
        raise ValueError("SNAPSURGE_QUEUE_URLS names a Redis twice")
    return {address.name: _client(address, config) for address in addresses}


def _read(setting: str, url: str) -> RedisAddress:
    try:
        return read(url.strip())
    except ValueError as error:
        raise ValueError(f"{setting}: {error}") from None


def _client(address: RedisAddress, config: Config) -> Redis:
    return client_of(address, connections_max=config.redis_connections_max, timeout_s=config.redis_timeout_s)
