"""One service with and without TLS for client programs, pairs for them, and the programs of other languages.

A program is built by its own language's tools, which fetch what it needs from their registry. Where a tool or its
registry is not there, the test is skipped with one line that says so.
"""

import os
import re
import shutil
import subprocess
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.e2e.lone_node import pair
from tests.e2e.security.conftest import Stack, _running, answers, photo, token
from tests.ports import free_port

BUILD_S = 600
# What a build may write outside its own folder: the caches of its tools, which stay for the next run.
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("SNAPSURGE_")}  # noqa: TID251


def tool(name: str) -> str:
    """The path of a program; skips the test when it is not there."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not on PATH")
    return found


def _step(command: tuple[str, ...], folder: Path, environment: Mapping[str, str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [tool(command[0]), *command[1:]],
        cwd=folder,
        env=ENVIRONMENT | dict(environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=BUILD_S,
        check=False,
    )


def built(*command: str, folder: Path, why: str, **environment: str) -> None:
    """Run one step of a build that needs a registry; skips the test when it fails."""
    done = _step(command, folder, environment)
    if done.returncode:
        pytest.skip(f"{why}: {' '.join(done.stdout.split())[-300:]}")


def made(*command: str, folder: Path, **environment: str) -> str:
    """Run one step that needs no registry and so must succeed; returns its output."""
    done = _step(command, folder, environment)
    assert done.returncode == 0, done.stdout[-4000:]
    return done.stdout


def started(command: list[str], environment: Mapping[str, str]) -> "subprocess.Popen[str]":
    """A client program that runs."""
    return subprocess.Popen(
        command, env=ENVIRONMENT | dict(environment), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def lines_of(process: "subprocess.Popen[str]") -> tuple[int, list[str]]:
    """Exit status and lines of output of a client program that has ended."""
    out, errors = process.communicate(timeout=BUILD_S)
    assert out, errors[-3000:]
    return process.returncode, out.split("\n")


class Service:
    """The addresses of the service, the certificate that it shows, and photos for its clients."""

    def __init__(self, stack: Stack, secure: int, folder: Path) -> None:
        self.stack = stack
        self.base, self.secure = f"http://127.0.0.1:{stack.front}", f"https://127.0.0.1:{secure}"
        self.certificate = folder / "certificate.pem"
        self.small = tuple(folder / f"{side}.jpg" for side in ("front", "back"))
        self.large = tuple(folder / f"large-{side}.jpg" for side in ("front", "back"))
        for path, colour in zip(self.small, ("teal", "navy"), strict=True):
            path.write_bytes(photo(colour))
        for path in self.large:  # large enough that a refusal comes while it is still being sent
            path.write_bytes(pair(18 << 20).split(b"\r\n\r\n", 1)[1].rsplit(b"\r\n--x\r\n", 1)[0])

    def words(self, user: str, moment: str, *, secure: bool = False) -> list[str]:
        """The words for a client program that posts a small pair."""
        base = self.secure if secure else self.base
        return [base, moment, token(user), *map(str, self.small)]

    def _admin(self, path: str, method: str) -> bytes:
        request = urllib.request.Request(f"http://127.0.0.1:{self.stack.admin}{path}", method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return bytes(answer.read())

    @contextmanager
    def without_nodes(self) -> Iterator[Callable[[], bool]]:
        """While the block runs, the balancer has no node; yields whether it has refused an upload since."""
        before = self.refused()
        self._admin("/nodes/a/drain", "POST")
        try:
            yield lambda: self.refused() > before
        finally:
            self._admin("/nodes/a/undrain", "POST")

    def refused(self) -> float:
        """The requests that the balancer answered with 5xx."""
        metrics = self._admin("/metrics", "GET").decode()
        (count,) = re.findall(r'^snapsurge_lb_requests_total{status="5xx"} (\S+)', metrics, re.MULTILINE)
        return float(count)

    def stored(self, post: str) -> dict[str, Any]:
        """A post as it is now."""
        return dict(msgspec.json.decode(self.stack.call("GET", f"/v1/posts/{post}", token("anyone"))))


@pytest.fixture(scope="package")
def service(
    redis_server: Callable[[], AbstractContextManager[str]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """A Redis, a node, a worker, a balancer, and a second balancer that ends TLS with a certificate of its own."""
    folder, secure, admin = tmp_path_factory.mktemp("clients"), free_port(), free_port()
    made(
        *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"),
        *("-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out", "certificate.pem"),
        folder=folder,
    )
    with redis_server() as redis_url:
        for stack in _running(redis_url, tmp_path_factory.mktemp("stack")):
            words = ["lb", "--listen", f"127.0.0.1:{secure}", "--admin", f"127.0.0.1:{admin}"]
            words += ["--node", f"a=127.0.0.1:{stack.node}"]
            words += ["--tls-cert", f"{folder}/certificate.pem", "--tls-key", f"{folder}/key.pem"]
            stack.start("secure", words, ENVIRONMENT)
            while not answers(admin):
                assert stack.processes[-1].poll() is None, stack.logs().decode()
            yield Service(stack, secure, folder)
