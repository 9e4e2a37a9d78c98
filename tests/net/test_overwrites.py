"""Overwrites that are interrupted between the members of a store: with versions, the old or the new object is there.

Without versions MinIO may lose both (`storage/s3/bucket.py`), which the first trials show, so that the fault is proven.
"""

import asyncio
import contextlib
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aioboto3
import aiohttp
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from deploy import ready, servers
from deploy.config import Environment
from deploy.supervisor import Supervisor
from storage.s3.address import S3Address
from storage.s3.store import S3Store
from tests.net.network import Host, Network
from tests.net.programs import MINIO, Site

pytestmark = [pytest.mark.e2e, pytest.mark.long, pytest.mark.timeout(900)]

TRIALS = 10
WRITERS = 24  # so many overwrites are in progress when the member is cut off
OLD, NEW = secrets.token_bytes(90_000), b"a tombstone" * 30
CLIENT = Config(retries={"total_max_attempts": 1}, max_pool_connections=2 * WRITERS, read_timeout=60)
PATIENCE_S = 3.0  # as a node's, whose client then gives up
APART_S, TOGETHER_S = 5.0, 8.0
SEES_DRIVES_S = 20.0  # after its start, a member sees the drives of all others


@contextlib.asynccontextmanager
async def members(network: Network, folder: Path) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    """A MinIO of three members with two drives each: its address, and an S3 client for each member."""
    for name in (folder, folder / "logs"):
        name.mkdir()
    site = Site(network.hosts, folder, {**Environment.current(), **servers.minio_environment()})
    session = aioboto3.Session(region_name="us-east-1")
    async with contextlib.AsyncExitStack() as opened:
        supervisor = await opened.enter_async_context(Supervisor(stop_s=5.0, say=lambda _: None))
        opened.callback(supervisor.kill)
        http = await opened.enter_async_context(aiohttp.ClientSession())
        for host in network.hosts:
            supervisor.start(site.program("minio", host))
        for host in network.hosts:
            while not await ready.serves(http, f"http://{host.address}:{MINIO}/minio/health/ready"):
                await asyncio.sleep(0.5)
        await asyncio.sleep(SEES_DRIVES_S)
        clients = {
            host.name: await opened.enter_async_context(
                session.client("s3", endpoint_url=f"http://{host.address}:{MINIO}", config=CLIENT)
            )
            for host in network.hosts
        }
        yield site.store_url, clients


async def interrupted(network: Network, clients: dict[str, Any], bucket: str, prefix: str) -> Counter[str]:
    """Overwrite objects at member b while it is cut off from the others; what a reads of each afterwards."""
    alone, *others = sorted(network.hosts, key=lambda host: host.name != "b")
    tags: dict[str, str] = {}
    tried: list[str] = []
    stop = asyncio.Event()

    async def make(key: str) -> None:
        tags[key] = (await clients["a"].put_object(Bucket=bucket, Key=key, Body=OLD))["ETag"]

    async def overwrite(keys: list[str]) -> None:
        for key in keys:
            if stop.is_set():
                return
            tried.append(key)
            with contextlib.suppress(TimeoutError, ClientError, BotoCoreError):
                async with asyncio.timeout(PATIENCE_S):
                    await clients["b"].put_object(Bucket=bucket, Key=key, Body=NEW, IfMatch=tags[key])

    each = [[f"{prefix}/{writer}-{number}" for number in range(8)] for writer in range(WRITERS)]
    for number in range(8):
        await asyncio.gather(*(make(keys[number]) for keys in each))
    async with asyncio.TaskGroup() as writing:
        for keys in each:
            writing.create_task(overwrite(keys))
        await asyncio.sleep(0.5)
        with cut(network, alone, others):
            stop.set()
            await asyncio.sleep(APART_S)
    await asyncio.sleep(TOGETHER_S)
    return Counter([await read(clients["a"], bucket, key) for key in tried])


@contextlib.contextmanager
def cut(network: Network, alone: Host, others: list[Host]) -> Iterator[None]:
    """Inside the block, one host hears none of the others, and they do not hear it."""
    with contextlib.ExitStack() as rules:
        rules.enter_context(network.deaf(alone, [other.address for other in others]))
        for other in others:
            rules.enter_context(network.deaf(other, [alone.address]))
        yield


async def read(client: Any, bucket: str, key: str) -> str:
    """What the key has: the old object, the new one, something else, or the store's error."""
    try:
        body = await (await client.get_object(Bucket=bucket, Key=key))["Body"].read()
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return {OLD: "old", NEW: "new"}.get(body, "something else")


async def test_with_versions_an_interrupted_overwrite_loses_nothing(
    network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bucket as a node makes it; the same in a bucket without versions loses some, or the fault did not happen."""
    for name, value in servers.minio_environment().items():
        monkeypatch.setenv(name, value)
    found = {"kept": Counter[str](), "plain": Counter[str]()}
    async with members(network, tmp_path / "store") as (url, clients):
        async with S3Store(S3Address.parse(url), examines=True):
            kept = S3Address.parse(url).bucket
        await clients["a"].create_bucket(Bucket="plain")
        for number in range(TRIALS):
            found["plain"] += await interrupted(network, clients, "plain", f"{number}")
            found["kept"] += await interrupted(network, clients, kept, f"a7/{number}")
            print({name: dict(counts) for name, counts in found.items()}, flush=True)
    assert set(found["kept"]) == {"old", "new"}
    assert found["plain"]["NoSuchKey"] > 0
