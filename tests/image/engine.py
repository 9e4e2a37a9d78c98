"""A container engine in a network namespace of its own, with images of one Debian in place of a registry's."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
TOOLS = REPOSITORY / ".tools"
PATIENCE_S = 900.0
# `go` of the base image `golang:…`: MinIO was built before, by `make minio`, the same version (a unit test compares).
GO = "#!/bin/sh\nmkdir -p /go/bin && cp /minio /go/bin/minio\n"
# Redis of its own image accepts connections from elsewhere; Debian's refuses them unless it is told to.
REDIS = '#!/bin/sh\nexec "$@" --protected-mode no\n'


def lacking() -> str:
    """What is missing to run an engine here; empty when nothing is."""
    if os.geteuid() != 0:
        return "a container engine needs root"
    programs = [
        name
        for name in ("dockerd", "docker-compose", "docker", "ip", "nsenter", "iptables")
        if shutil.which(name) is None
    ]
    files = ("image/base.ready", "image/wheels.ready", "bin/minio")
    absent = [*programs, *(f".tools/{name}" for name in files if not (TOOLS / name).exists())]
    return f"no {', '.join(absent)}: `make test-image` prepares them" if absent else ""


class Engine:
    """A running dockerd and commands for it, in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.namespace = f"snapimage-{os.getpid()}"
        self.socket = f"unix://{folder}/docker.sock"

    def inside(self, *command: str | Path, cwd: Path = REPOSITORY, **environment: str) -> str:
        """What a command prints that runs in the namespace; AssertionError with its output when it fails."""
        env = {**os.environ, "DOCKER_HOST": self.socket, "DOCKER_BUILDKIT": "0", **environment}  # noqa: TID251
        words = ["nsenter", f"--net=/run/netns/{self.namespace}", *(str(one) for one in command)]
        done = subprocess.run(words, cwd=cwd, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{words}: {done.stdout[-3000:]}{done.stderr[-3000:]}"
        return done.stdout

    def build(self, name: str, *lines: str, files: dict[str, Path] | None = None) -> None:
        """An image of some lines of a Dockerfile."""
        context = self.folder / "contexts" / name.replace(":", "-")
        context.mkdir(parents=True)
        (context / "Dockerfile").write_text("\n".join(lines) + "\n")
        for target, source in (files or {}).items():
            copy = shutil.copytree if source.is_dir() else shutil.copy
            copy(source, context / target)
        self.inside("docker", "build", "-q", "-t", name, str(context))

    def make_bases(self) -> None:
        """The images that deploy/Dockerfile and compose.yaml begin with."""
        base = TOOLS / "image/base"
        self.inside("sh", "-c", f"tar -C {base} -c . | docker import - debian:bookworm-slim")
        (self.folder / "go").write_text(GO)
        (self.folder / "redis").write_text(REDIS)
        plain = "FROM debian:bookworm-slim"
        index = "ENV PIP_NO_INDEX=1 PIP_FIND_LINKS=/wheels"
        self.build("python:3.11-slim", plain, "COPY wheels /wheels", index, files={"wheels": TOOLS / "image/wheels"})
        stand_in = ("COPY minio /minio", "COPY go /usr/local/bin/go", "RUN chmod +x /minio /usr/local/bin/go")
        given = {"minio": TOOLS / "bin/minio", "go": self.folder / "go"}
        self.build("golang:1.25-bookworm", plain, *stand_in, files=given)
        entry = ("COPY redis /entry", "RUN chmod +x /entry", "WORKDIR /data", 'ENTRYPOINT ["/entry"]')
        self.build("redis:7", plain, *entry, files={"redis": self.folder / "redis"})


@contextmanager
def engine(folder: Path) -> Iterator[Engine]:
    """dockerd until the block ends; its containers, networks and files go with it."""
    found = Engine(folder)
    subprocess.run(["ip", "netns", "add", found.namespace], check=True)
    try:
        subprocess.run(["ip", "-n", found.namespace, "link", "set", "lo", "up"], check=True)
        command = ["nsenter", f"--net=/run/netns/{found.namespace}", "dockerd", "-H", found.socket]
        command += ["--data-root", f"{folder}/data", "--exec-root", f"{folder}/exec", "--oom-score-adjust", "0"]
        command += ["--pidfile", f"{folder}/docker.pid", "--storage-driver", "overlay2"]
        with (folder / "dockerd.log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            wait(found, process)
            yield found
        finally:
            process.terminate()
            process.wait(120)
    finally:
        subprocess.run(["ip", "netns", "del", found.namespace], check=False)


def wait(found: Engine, process: "subprocess.Popen[bytes]") -> None:
    """Until the engine answers."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            found.inside("docker", "info")
        except AssertionError:
            log = (found.folder / "dockerd.log").read_text(errors="replace")[-3000:]
            assert process.poll() is None, f"dockerd ended: {log}"
            assert time.monotonic() < deadline, f"dockerd does not answer: {log}"
            time.sleep(1)
        else:
            return
