"""A node before a store that does not keep conditional writes: it does not start, and says why; unless told to."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from deploy.config import DEVELOPMENT_SECRET, Environment
from tests.careless_store import careless_store
from tests.ports import free_port

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
async def careless() -> AsyncIterator[str]:
    """The address of a store that takes every PUT, whatever its condition."""
    async with careless_store() as address:
        yield address


async def node(store: str, redis_url: str, **settings: str) -> asyncio.subprocess.Process:
    """A starting node."""
    environment = Environment.current() | {
        "SNAPSURGE_AUTH_SECRET": DEVELOPMENT_SECRET,
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "s",
        "SNAPSURGE_STORE_URL": store,
        "SNAPSURGE_REDIS_URL": redis_url,
        **settings,
    }
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ingest", "--listen", f"127.0.0.1:{free_port()}"),
        cwd=ROOT,
        env=environment,
        stderr=subprocess.PIPE,
    )


async def test_a_store_without_conditional_writes_is_refused(careless: str, redis_url: str) -> None:
    """Exit 2, as for a bad setting, so that no supervisor tries again; the reason names stores and the way out."""
    process = await node(careless, redis_url)
    _, said = await process.communicate()

    assert process.returncode == 2, said
    assert b"8 of 8 concurrent PUTs with If-None-Match: * succeeded" in said
    assert b"SeaweedFS" in said
    assert b"SNAPSURGE_STORAGE_PROBE=off" in said


async def test_who_knows_better_starts_nevertheless(careless: str, redis_url: str) -> None:
    """SNAPSURGE_STORAGE_PROBE=off."""
    process = await node(careless, redis_url, SNAPSURGE_STORAGE_PROBE="off")
    assert process.stderr
    try:
        lines = [await process.stderr.readline()]
        while b"serving on" not in lines[-1]:
            assert lines[-1], b"".join(lines)
            lines.append(await process.stderr.readline())
    finally:
        process.kill()
        await process.wait()
