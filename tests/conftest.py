"""Fixtures for all tests: a real Redis, a real MinIO, and both stores.

The shared servers start once in a session, when a test first needs them, on free loopback ports and in temporary
folders; each is ended by its pid. On a machine without such a server, the tests that need it are skipped with a hint
how to install it; in CI (CI=true) they fail.
"""

import contextlib
import itertools
import logging
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from redis.asyncio import Redis

from deploy.config import Environment
from deploy.servers import MINIO_PASSWORD, MINIO_USER, ServerMissing, minio_command, minio_environment, redis_command
from storage.blobs import BlobStore
from storage.files import FileStore
from storage.s3.address import S3Address
from storage.s3.store import S3Store
from tests.ports import free_port

START_S = 30
STOP_S = 10

_bucket_numbers = itertools.count()


@pytest.fixture(autouse=True)
def log_lines_end_with_their_test() -> Iterator[None]:
    """A program that runs in this process logs to the standard error of its test, which is closed afterwards."""
    before, level = list(logging.root.handlers), logging.root.level
    yield
    logging.root.handlers[:] = [one for one in logging.root.handlers if one in before]
    logging.root.setLevel(level)


def _missing(error: ServerMissing) -> None:
    if Environment.current().get("CI") == "true":
        pytest.fail(str(error))
    pytest.skip(str(error))


def _redis_answers(port: int) -> bool:
    with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
        connection.sendall(b"PING\r\n")
        return connection.recv(16).startswith(b"+PONG")


def _minio_answers(port: int) -> bool:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/minio/health/ready", timeout=1) as answer:
        return int(answer.status) == 200


@contextlib.contextmanager
def _server(
    command: Sequence[str], log: Path, environment: Mapping[str, str], ready: Callable[[], bool]
) -> Iterator[None]:
    """Run the command until the fixture ends; yields when `ready` holds. The process is always ended by its pid."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env={**Environment.current(), **environment}, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        deadline = time.monotonic() + START_S
        while True:
            with contextlib.suppress(OSError, urllib.error.URLError):
                if ready():
                    break
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"{command[0]} did not start:\n{log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.02)
        yield
    finally:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture(name="free_port")
def _free_port() -> int:
    """A loopback port on which no process listens."""
    return free_port()


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., AbstractContextManager[str]]:
    """Makes contexts with a separate Redis, for data that the fixture `redis` of another test must not flush.

    With a `snapshot`, the file that SAVE wrote, it begins with that data.
    """

    @contextlib.contextmanager
    def started(snapshot: Path | None = None) -> Iterator[str]:
        folder, port = tmp_path_factory.mktemp("redis"), free_port()
        try:
            command = redis_command(port, folder)
            if snapshot:
                shutil.copy(snapshot, folder / "dump.rdb")
                command += ["--appendonly", "no"]  # with it, Redis does not read a snapshot
        except ServerMissing as error:
            _missing(error)
        with _server(command, folder / "server.log", {}, lambda: _redis_answers(port)):
            yield f"redis://127.0.0.1:{port}/0"

    return started


@pytest.fixture(scope="session")
def redis_url(redis_server: Callable[[], AbstractContextManager[str]]) -> Iterator[str]:
    """The URL of a real Redis that all tests share, one test at a time."""
    with redis_server() as url:
        yield url


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    """A client of the shared Redis, which is empty when the test begins."""
    async with Redis.from_url(redis_url) as client:
        await client.flushall()
        yield client


@pytest.fixture(scope="session")
def minio_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The endpoint `http://127.0.0.1:PORT` of a real MinIO; the AWS_… variables are set for the session."""
    folder, port = tmp_path_factory.mktemp("minio"), free_port()
    try:
        command = minio_command(port, free_port(), folder / "data")
    except ServerMissing as error:
        _missing(error)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", MINIO_USER)
        patch.setenv("AWS_SECRET_ACCESS_KEY", MINIO_PASSWORD)
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        for name in ("AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_ENDPOINT_URL"):
            patch.delenv(name, raising=False)
        with _server(command, folder / "server.log", minio_environment(), lambda: _minio_answers(port)):
            yield f"http://127.0.0.1:{port}"


@pytest.fixture
def s3_url(minio_url: str) -> str:
    """The URL of a new bucket on the real MinIO; opening the store creates the bucket."""
    return f"s3://test-{next(_bucket_numbers)}?endpoint={minio_url}&region=us-east-1"


@pytest.fixture(params=["file", "s3"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[BlobStore]:
    """Each of the two stores in turn, open and empty: files in a temporary folder, and a bucket on the real MinIO."""
    made: BlobStore = FileStore(tmp_path / "store")
    if request.param == "s3":
        made = S3Store(S3Address.parse(request.getfixturevalue("s3_url")))
    async with made:
        yield made
