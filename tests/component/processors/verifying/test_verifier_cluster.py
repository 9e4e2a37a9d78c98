"""`processors verify --repair` on a MinIO whose members hide pairs: nothing hidden is called lost, or repaired."""

import asyncio
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from deploy.config import Environment
from storage import keys
from storage.s3.address import S3Address
from storage.s3.store import S3Store
from tests.component.processors.conftest import opened
from tests.component.processors.test_main import ROOT
from tests.component.processors.verifying.pairs import finish
from tests.erasure import erasure_set, eventually, used

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

PAIRS = 6
KNOWN, UNKNOWN = 0, 2  # exit statuses


async def test_what_is_hidden_is_neither_lost_nor_repaired(tmp_path: Path, redis: Redis, redis_url: str) -> None:
    """A member is back without what was written meanwhile; then another one goes, comes back, and its drives fail.

    The verification ends with "could not tell", or with nothing found where enough members show everything.
    """
    with erasure_set(tmp_path, members=3, drives=2) as cluster, ThreadPoolExecutor(1) as threads:
        url = cluster.url("verified")
        first, _, last = cluster.members
        stored: dict[str, bytes] = {}

        async def verified(when: str) -> int:
            done = await asyncio.to_thread(verify, world.moment_id, url, redis_url)
            sys.stdout.write(f"{when}: {done.returncode} {(done.stdout or done.stderr).strip().splitlines()[-1]}\n")
            assert done.returncode in {KNOWN, UNKNOWN}, done.stdout + done.stderr
            assert (done.returncode == KNOWN) or "could not tell" in done.stderr, done.stderr
            assert not re.search("lost|repaired", done.stdout), done.stdout
            return int(done.returncode)

        async with S3Store(S3Address.parse(url), examines=True) as store:
            world: Any = await opened(store, redis, threads)  # type: ignore[arg-type] - any store does
            await eventually(lambda: store._objects.endpoints.looks.canary, "the store has a canary", 240)

            async def missed(kind: str) -> None:
                """Pairs that the first member lacks, which is back; a read would heal them."""
                first.kill()
                await eventually(lambda: used(store, cluster.members[1:]), "the first member is known to be away")
                ids = [(await finish(world, f"{kind} {number}")).id for number in range(PAIRS)]
                names = [key(world.moment_id, one) for one in ids for key in (keys.intake, keys.media)]
                stored.update({key: await store.read(key) for key in names})
                first.start()
                await eventually(lambda: used(store, cluster.members), "all members are used again")

            await missed("away")
            last.kill()
            assert [await verified("another one away") for _ in range(2)] == [UNKNOWN] * 2
            last.start()
            for _ in range(4):
                await verified("just back")
            await eventually(lambda: used(store, cluster.members), "all members are used again")

            await missed("failed")
            with failed(last._drives):
                assert [await verified("drives fail") for _ in range(2)] == [UNKNOWN] * 2
            await eventually(lambda: last.health("cluster"), "its drives are there again")
            while await verified("all there") == UNKNOWN:
                pass
            for key, body in stored.items():
                assert await store.read(key) == body


@contextmanager
def failed(drives: Sequence[Path]) -> Iterator[None]:
    """Drives that cannot be read: links to themselves."""
    for drive in drives:
        drive.rename(f"{drive}.gone")
        drive.symlink_to(drive)
    yield
    for drive in drives:
        drive.unlink()
        Path(f"{drive}.gone").rename(drive)


def verify(moment_id: str, url: str, redis_url: str) -> "subprocess.CompletedProcess[str]":
    """As an operator does."""
    command = [sys.executable, "-m", "processors", "verify", moment_id, "--repair"]
    environment = {**Environment.current(), "SNAPSURGE_STORE_URL": url, "SNAPSURGE_REDIS_URL": redis_url}
    return subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
