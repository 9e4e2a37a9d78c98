"""Turns addresses into a store and Redis clients: the only module that chooses between the two store classes."""

import asyncio
import logging
import re
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from redis.asyncio import Redis
from redis.exceptions import RedisError

from .blobs import BlobStore
from .config import Config
from .connections import client_of
from .files import FileStore
from .redis_address import RedisAddress, read
from .rights import RightsMissing
from .s3.address import S3Address
from .s3.store import S3Store

log = logging.getLogger("snapsurge.storage.opening")

# Where an address begins in a list: the Sentinels of one address are separated by commas too.
ADDRESS = re.compile(r",\s*(?=[a-z+]+://)")


def blob_store(config: Config, *, examines: bool = False, s3: type[S3Store] = S3Store) -> BlobStore:
    """The store at `SNAPSURGE_STORE_URL`, not yet entered; ValueError when the address is invalid.

    `examines`: entering it tests an S3 store, unless `SNAPSURGE_STORAGE_PROBE` is off. `s3`: the class of one.
    """
    parts = _split(config.store_url)
    if parts.scheme == "file" and parts.path.startswith("/") and not parts.netloc:
        return FileStore(Path(unquote(parts.path)), threads=config.file_threads)
    if parts.scheme == "s3":
        return s3(
            S3Address.parse(config.store_url),
            connections_max=config.s3_connections_max,
            connect_timeout_s=config.s3_connect_timeout_s,
            read_timeout_s=config.s3_read_timeout_s,
            attempts_max=config.s3_attempts_max,
            examines=examines and config.probe == "on",
        )
    raise ValueError("SNAPSURGE_STORE_URL: not a store address; write file:///path or s3://bucket?endpoint=…")


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError:
        return SplitResult("", "", "", "", "")


def redis_client(config: Config) -> Redis:
    """A client of `SNAPSURGE_REDIS_URL`: a bounded pool, on which calls wait, and a timeout for each call.

    ValueError when the address is invalid.
    """
    return _client(_read("SNAPSURGE_REDIS_URL", config.redis_url), config)


def shard_clients(config: Config, redis: Redis) -> dict[str, Redis]:
    """A client of each Redis in `SNAPSURGE_SHARD_URLS`, by address without credentials.

    Without shards, or where a shard is at `SNAPSURGE_REDIS_URL`, it is `redis`, the client of that address. ValueError
    when an address is invalid, or named twice.
    """
    if config.shard_urls and config.queue_urls:
        raise ValueError("SNAPSURGE_QUEUE_URLS is the former name of SNAPSURGE_SHARD_URLS: set only the latter")
    if config.queue_urls:
        log.warning("SNAPSURGE_QUEUE_URLS is now SNAPSURGE_SHARD_URLS; the next version refuses the old name")
    setting = "SNAPSURGE_QUEUE_URLS" if config.queue_urls else "SNAPSURGE_SHARD_URLS"
    given = ADDRESS.split(config.shard_urls or config.queue_urls)
    own = _read("SNAPSURGE_REDIS_URL", config.redis_url)
    addresses = [_read(setting, url) for url in given if url.strip()] or [own]
    if len({address.name for address in addresses}) < len(addresses):
        raise ValueError(f"{setting} names a Redis twice")
    return {one.name: redis if one.name == own.name else _client(one, config) for one in addresses}


def addresses(config: Config) -> dict[str, str]:
    """The settings that all programs of a stack share, as they may be shown: addresses without credentials."""
    shards = ADDRESS.split(config.shard_urls or config.queue_urls)
    return {
        "SNAPSURGE_STORE_URL": config.store_url,
        "SNAPSURGE_REDIS_URL": _read("SNAPSURGE_REDIS_URL", config.redis_url).name,
        "SNAPSURGE_SHARD_URLS": ",".join(_read("SNAPSURGE_SHARD_URLS", url).name for url in shards if url.strip()),
        "SNAPSURGE_STORAGE_DECODE_BYTES_MAX": str(config.decode_bytes_max),
        "SNAPSURGE_STORAGE_PROBE": config.probe,
    }


async def admitted(config: Config) -> None:
    """RightsMissing if a Redis answers and its user lacks rights; one that does not answer is tested when it does."""
    redis = redis_client(config)
    clients = {id(one): one for one in (redis, *shard_clients(config, redis).values())}.values()
    answers = await asyncio.gather(*(one.ping() for one in clients), return_exceptions=True)
    for client in clients:
        await client.aclose()
    for answer in answers:
        if isinstance(answer, RightsMissing) or (
            isinstance(answer, BaseException) and not isinstance(answer, RedisError | OSError)
        ):
            raise answer


def _read(setting: str, url: str) -> RedisAddress:
    try:
        return read(url.strip())
    except ValueError as error:
        raise ValueError(f"{setting}: {error}") from None


def _client(address: RedisAddress, config: Config) -> Redis:
    return client_of(address, connections_max=config.redis_connections_max, timeout_s=config.redis_timeout_s)
