"""The settings of storage: addresses, connections and timeouts of store and Redis, for every program that uses them."""

import os
from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from . import settings
from .photo import formats

INTAKE_DAYS_MIN, MOMENT_DAYS_MIN = 3, 8


class Config(msgspec.Struct, frozen=True, kw_only=True, rename=lambda name: f"SNAPSURGE_STORAGE_{name.upper()}"):
    """Addresses, connection pools and timeouts of the object store and Redis."""

    store_url: Annotated[
        str, Meta(description="object store: `file:///path` or `s3://bucket?endpoint=…,…&region=…`")
    ] = msgspec.field(name="SNAPSURGE_STORE_URL", default="file:///var/lib/snapsurge")
    redis_url: Annotated[
        str,
        Meta(
            description="Redis for membership, moments, election, and without shards for everything: "
            "`redis://`, `rediss://`, `unix://`, `redis+sentinel://`"
        ),
    ] = msgspec.field(name="SNAPSURGE_REDIS_URL", default="redis://127.0.0.1:6379/0")
    shard_urls: Annotated[
        str,
        Meta(
            description="addresses of the Redis that share index, counts, limits and queue, comma-separated; the same "
            "for all programs; empty = SNAPSURGE_REDIS_URL"
        ),
    ] = msgspec.field(name="SNAPSURGE_SHARD_URLS", default="")
    queue_urls: Annotated[str, Meta(description="former name of SNAPSURGE_SHARD_URLS; works in this version")] = (
        msgspec.field(name="SNAPSURGE_QUEUE_URLS", default="")
    )
    # 128 connections of one node at 20 ms a PUT carry 6,400 pairs/s, several times what one node's core can do.
    s3_connections_max: Annotated[int, Meta(ge=1, le=4096, description="connections of one process to the store")] = 128
    s3_connect_timeout_s: Annotated[
        float, Meta(gt=0, description="seconds before a connection attempt to the store times out")
    ] = 2.0
    # A pair of 20 MiB at 10 MB/s takes two seconds; a store that was silent for ten is unlikely to answer soon.
    s3_read_timeout_s: Annotated[
        float, Meta(gt=0, description="seconds without a byte from the store before a request times out")
    ] = 10.0
    s3_attempts_max: Annotated[int, Meta(ge=1, le=10, description="attempts of one store request")] = 3
    probe: Annotated[
        Literal["on", "off"],
        Meta(description="whether a node tests at start that an S3 store honours conditional writes, and exits if not"),
    ] = "on"
    # Of a renderer, beside the memory that it needs itself. Nodes and workers must have the same value.
    decode_bytes_max: formats.DecodeBytes = msgspec.field(
        name=formats.DECODE_BYTES_SETTING, default=formats.DECODE_BYTES_MAX
    )
    # An intake object is needed while its moment accepts posts (49 h), and by `complete_media` after.
    intake_days: Annotated[
        int,
        Meta(
            ge=0,
            description="days after which the sweeper removes the photos as received, and keeps their receipts and the "
            "renditions; at least 3; 0 = never",
        ),
    ] = 0
    # A bucket whose lifecycle deletes within 7 days is refused (s3/bucket.py).
    moment_days: Annotated[
        int,
        Meta(
            ge=0, description="days after which the sweeper removes a moment with all its posts; at least 8; 0 = never"
        ),
    ] = 0
    # fsync blocks a thread, not the processor: more threads than cores keep a disk's queue filled.
    file_threads: Annotated[int, Meta(ge=1, le=256, description="threads of the file store")] = 16
    # Redis usually answers in well under a millisecond. A Redis that takes this long counts as unavailable, and every
    # program works without it.
    redis_connections_max: Annotated[int, Meta(ge=1, le=4096, description="connections of one process to Redis")] = 32
    redis_timeout_s: Annotated[float, Meta(gt=0, description="seconds before a Redis call times out")] = 0.5


class AwsVariables(msgspec.Struct, frozen=True, kw_only=True, rename=lambda name: f"AWS_{name.upper()}"):
    """The standard AWS environment variables that this project reads without botocore."""

    access_key_id: str = ""
    secret_access_key: str = ""
    session_token: str = ""
    ca_bundle: str = ""


def load(environ: Mapping[str, str] = os.environ) -> Config:  # noqa: TID251 - the one place that reads it
    """The settings from this environment; settings.SettingsError names the bad one."""
    config = settings.load(Config, "STORAGE", environ)
    for name, days, least in (
        ("INTAKE", config.intake_days, INTAKE_DAYS_MIN),
        ("MOMENT", config.moment_days, MOMENT_DAYS_MIN),
    ):
        if 0 < days < least:
            raise settings.SettingsError(f"bad setting SNAPSURGE_STORAGE_{name}_DAYS: 0 or at least {least}")
    return config


def aws(environ: Mapping[str, str] = os.environ) -> AwsVariables:  # noqa: TID251 - the same
    """The AWS variables from this environment; empty where a variable is not set."""
    return msgspec.convert(dict(environ), AwsVariables)
