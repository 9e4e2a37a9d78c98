"""A real MinIO erasure set for tests: processes on loopback addresses of their own, each with a drive or several.

Of four members with two parity shards, MinIO reads with two and writes with three. Of three with two drives each, as
deploy/README.md sets them up, it writes with two; of six with one each, with four. A member can be killed, stopped,
started again, and wiped. All processes are ended by their pids.
"""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from deploy import servers
from deploy.config import Environment
from storage.blobs import StoreUnavailable
from storage.s3.address import S3Address
from storage.s3.endpoint import State
from storage.s3.store import S3Store
from tests.ports import free_port

WAIT_S = 60.0
SEEN_S = 240.0  # members that came back were seen by all others after 1 to 90 s
# Linux has all of 127.0.0.0/8 on its loopback interface; elsewhere the members differ by their ports alone.
HOSTS = tuple(f"127.0.0.{number}" for number in range(2, 8)) if sys.platform == "linux" else ("127.0.0.1",) * 6


class Member:
    """One MinIO process of a set, with its drives, of which `drive` is the first."""

    def __init__(self, own: str, members: list[str], folder: Path, number: int, scheme: str, drives: int = 1) -> None:
        self.url = f"{scheme}://{own}"
        suffixes = [f"-{each}" for each in range(drives)] if drives > 1 else [""]
        self._drives = [folder / f"drive-{number}{suffix}" for suffix in suffixes]
        self.drive = self._drives[0]
        self._log = folder / f"minio-{number}.log"
        words = servers.minio_member_command(own, members, folder)
        self._command = words[: -len(members)]
        self._command += [f"{each}{suffix}" for each in words[-len(members) :] for suffix in suffixes]
        self._environment = {**Environment.current(), **servers.minio_member_environment(own)}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process."""
        for drive in self._drives:
            drive.mkdir(exist_ok=True)
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, env=self._environment, stdout=log, stderr=log)

    @property
    def pid(self) -> int:
        """The id of the current process."""
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """End the process at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """Stop the process, which keeps its connections and answers nothing."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let a stopped process continue."""
        os.kill(self.pid, signal.SIGCONT)

    def wipe(self) -> None:
        """Remove everything from the drive of a member that does not run."""
        assert self._process is None
        shutil.rmtree(self.drive)

    def health(self, what: str) -> bool:
        """Whether `/minio/health/<what>` answers 200."""
        with (
            contextlib.suppress(OSError, urllib.error.URLError),
            urllib.request.urlopen(f"{self.url}/minio/health/{what}", timeout=3) as answer,
        ):
            return int(answer.status) == 200
        return False

    def whole(self) -> bool:
        """Whether it says that the set can write; if it ended by itself it is started again, as by a supervisor.

        Of new members that start together one may end: "pool.bin has incomplete body".
        """
        if self._process is not None and self._process.poll() is not None:
            self.start()
        return self.health("cluster")

    def objects(self, bucket: str) -> set[str]:
        """The keys of which the drive has a shard."""
        root = self.drive / bucket
        return {str(path.parent.relative_to(root)) for path in root.rglob("xl.meta")}


class ErasureSet:
    """Members, four if not told otherwise; `url` is the address of a bucket with all of them as endpoints."""

    def __init__(self, folder: Path, members: int = 4, drives: int = 1) -> None:
        owns = [f"{host}:{free_port()}" for host in HOSTS[:members]]
        self.members = [Member(own, owns, folder, number, "http", drives) for number, own in enumerate(owns, 1)]

    def url(self, bucket: str) -> str:
        """A store address with every member."""
        return f"s3://{bucket}?endpoint={','.join(one.url for one in self.members)}&region=us-east-1"

    def start(self) -> None:
        """Start all members, and wait until each of them knows that the set can write."""
        for one in self.members:
            one.start()
        self.whole()

    def whole(self) -> None:
        """Wait until every member says that the set can write."""
        for one in self.members:
            until(one.whole, f"{one.url} is part of a whole set")

    async def known(self) -> None:
        """Wait until each member sees all others: what is written through it is on every drive.

        Members find one that was away within half a minute; another fault before that is more than one at a time.
        """
        for number, one in enumerate(self.members):
            deadline = time.monotonic() + SEEN_S
            while not await self._seen_by(one, f"{number}/{time.monotonic_ns()}"):
                assert time.monotonic() < deadline, f"{one.url} does not see all members"
                await asyncio.sleep(0.5)

    async def _seen_by(self, one: Member, key: str) -> bool:
        with contextlib.suppress(StoreUnavailable):
            async with S3Store(S3Address("whole", (one.url,), "us-east-1")) as store:
                await store.create(key, b".")
                await asyncio.sleep(0.1)  # a PUT is acknowledged by three drives, and reaches the fourth a little later
        return all(key in other.objects("whole") for other in self.members)

    def kill(self) -> None:
        """End all processes."""
        for one in self.members:
            one.kill()

    async def mend(self) -> None:
        """Resume or start what was stopped or killed, until the set is whole and each member sees all others."""
        for one in self.members:
            if one._process is None:
                one.start()
            else:
                one.resume()
        await asyncio.to_thread(self.whole)
        await self.known()


def until(holds: Callable[[], bool], what: str, timeout_s: float = WAIT_S) -> None:
    """Wait until this holds; the test fails with `what` when it does not."""
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, f"not within {timeout_s:.0f} s: {what}"
        time.sleep(0.1)


def used(store: S3Store, members: Sequence[Member]) -> bool:
    """Whether the store takes changes through these members and no others."""
    states = {one.url: one.state for one in store._objects.endpoints.all}
    return all((state is State.UP) == (url in {one.url for one in members}) for url, state in states.items())


async def eventually(holds: Callable[[], bool], what: str, timeout_s: float = WAIT_S) -> None:
    """Wait until this holds while tasks go on; the test fails with `what` when it does not."""
    deadline = time.monotonic() + timeout_s
    while not await asyncio.to_thread(holds):
        assert time.monotonic() < deadline, f"not within {timeout_s:.0f} s: {what}"
        await asyncio.sleep(0.1)


@contextlib.contextmanager
def erasure_set(folder: Path, members: int = 4, drives: int = 1) -> Iterator[ErasureSet]:
    """A running set; skips the test where MinIO is missing, and fails it in CI."""
    try:
        made = ErasureSet(folder, members, drives)
    except servers.ServerMissing as missing:
        (pytest.fail if Environment.current().get("CI") == "true" else pytest.skip)(str(missing))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", servers.MINIO_USER)
        patch.setenv("AWS_SECRET_ACCESS_KEY", servers.MINIO_PASSWORD)
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        for name in ("AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_CA_BUNDLE"):
            patch.delenv(name, raising=False)
        try:
            made.start()
            yield made
        finally:
            made.kill()
