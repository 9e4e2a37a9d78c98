"""Prepares what the test of the image needs, into .tools/image, once: an engine, base images, wheels.

No image registry is asked. The base images are one Debian by debootstrap, named as deploy/Dockerfile and compose.yaml
name them; the packages come as wheels from the package index. Debian's Engine is 20.10 and its Compose 1.29, the oldest
that compose.yaml promises to run on.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
TOOLS = ROOT / ".tools"
FOLDER = TOOLS / "image"
NEEDED = {
    "dockerd": "docker.io",
    "docker-compose": "docker-compose",
    "debootstrap": "debootstrap",
    "iptables": "iptables",
}
PACKAGES = ("python3", "python3-venv", "python-is-python3", "redis-server", "ca-certificates", "procps")


def run(*command: str | Path, cwd: Path | None = None, **environment: str) -> None:
    """One command; CalledProcessError when it fails."""
    env = {**os.environ, **environment}  # noqa: TID251 - for the child
    subprocess.run([str(one) for one in command], cwd=cwd, env=env, check=True)


def install_engine() -> None:
    """From Debian's packages."""
    lacking = [package for program, package in NEEDED.items() if shutil.which(program) is None]
    if lacking:
        run("apt-get", "update", "-qq")
        run("apt-get", "install", "-y", "-qq", "--no-install-recommends", *lacking, DEBIAN_FRONTEND="noninteractive")


def make_base() -> None:
    """A Debian with Python and Redis, as a folder."""
    if (FOLDER / "base.ready").exists():
        return
    shutil.rmtree(FOLDER / "base", ignore_errors=True)
    run("debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", "bookworm", FOLDER / "base")
    (FOLDER / "base.ready").touch()


def fetch_wheels() -> None:
    """What the image installs, by hash."""
    if not (FOLDER / "wheels.ready").exists():
        # The base's Python may be older than this one, and needs what "older than" marks.
        text = (ROOT / "requirements-run.lock").read_text()
        lock = FOLDER / "wheels.lock"
        lock.write_text(re.sub(r" ; python_full_version < '3\.11\.\d+'", "", text))
        run(sys.executable, "-m", "pip", "download", "-q", "--require-hashes", "-r", lock, "-d", FOLDER / "wheels")
        (FOLDER / "wheels.ready").touch()


def main() -> int:
    """0 when everything is there."""
    if os.geteuid() != 0:
        print("a container engine needs root", file=sys.stderr)
        return 1
    FOLDER.mkdir(parents=True, exist_ok=True)
    try:
        install_engine()
        make_base()
        fetch_wheels()
        run(sys.executable, "-m", "deploy", "minio", cwd=ROOT)
    except (subprocess.CalledProcessError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
