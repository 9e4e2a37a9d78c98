"""Stand-ins for the members of a store, and calls to them."""

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from storage.s3.endpoint import State
from storage.s3.objects import Objects
from storage.s3.signing import Keys
from tests.ports import free_port


def said(status: int, code: str = "", fields: str = "") -> bytes:
    """An answer of MinIO."""
    text = f"<Code>{code}</Code>" if code else ""
    return f"HTTP/1.1 {status} x\r\nServer: MinIO\r\n{fields}Content-Length: {len(text)}\r\n\r\n{text}".encode()


FINE = said(200)
MISSING = said(404, "NoSuchKey")
EXISTS = said(412, "PreconditionFailed")
NOT_YET = said(503, "XMinioServerNotInitialized")
NO_QUORUM = said(503, fields="X-Minio-Write-Quorum: 3\r\n")
SLOW_WRITE = said(503, "SlowDownWrite")
_NOTHING = "<ListBucketResult></ListBucketResult>"
LISTS_NOTHING = f"HTTP/1.1 200 x\r\nContent-Length: {len(_NOTHING)}\r\n\r\n{_NOTHING}".encode()


class Member:
    """A stand-in for a store's process: answers by the first word of a request, or by `/minio/health/cluster`.

    Listings are answered by `LIST`; looks by `LOOK`, or like the health; listings of versions by `VERSIONS`, or with
    the last PUT between `newer` and `older` entity tags, "" for a delete marker. What is asked of the canary is in
    `canary`, and answered by `GET canary` (its listing), and so on. Tests of agreement are not in `asked`:
    what is created is in `seen`, which members share that see each other. It leaves a condition out of account that it
    `ignores`.
    """

    def __init__(self, seen: set[str]) -> None:
        self.seen = seen
        self.answers: dict[str, bytes | None] = {"PUT": FINE, "GET": FINE, "HEAD": FINE, "health": FINE}
        self.answers["LIST"] = self.answers["GET canary"] = LISTS_NOTHING
        self.asked: list[str] = []
        self.looks = self.tests = 0
        self.canary: list[str] = []
        self.newer: list[str] = []
        self.older: list[str] = []
        self._written = ""
        self.ignores = ""
        self.port = free_port()
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None] | None] = set()

    @property
    def url(self) -> str:
        """Its endpoint."""
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def stop(self) -> None:
        """Listen no more, and close all connections."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for task in self._serving:
            if task:
                task.cancel()
        await asyncio.gather(*(task for task in self._serving if task), return_exceptions=True)
        self._serving.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._serving.add(asyncio.current_task())
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                what, path = head.decode().split()[:2]
                what = _kind(what, path)
                length = re.search(rb"content-length: ([0-9]+)", head)
                body = await reader.readexactly(int(length[1]) if length else 0)
                answer = self._answer(what, path)
                self.looks += what == "LOOK"
                if "canary" in what:
                    self.canary.append(what)
                elif "/probe/" not in path:
                    self.asked.append(what)
                    if what == "PUT":
                        self._written = f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'
                elif answer == FINE and what == "PUT":
                    self.tests += 1
                    condition = "if-match" if b"\r\nif-match:" in head else "if-none-match"
                    there = condition == "if-match" or path in self.seen
                    answer = EXISTS if there and condition != self.ignores else FINE
                    self.seen.add(path)
                if answer is None:  # silent for ever
                    await reader.read()
                    return
                writer.write(answer.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" if what.startswith("HEAD") else answer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    def _answer(self, what: str, path: str) -> bytes | None:
        if what in self.answers:
            return self.answers[what]
        if what == "LOOK":
            return self.answers["health"]
        if what != "VERSIONS":
            return FINE
        tags = [*self.newer, *([self._written] if self._written else []), *self.older]
        key = path.partition("prefix=")[2].partition("&")[0]
        rows = (
            f"<Version><Key>{key}</Key><VersionId>{number}</VersionId><ETag>{tag}</ETag></Version>"
            if tag
            else f"<DeleteMarker><Key>{key}</Key><VersionId>{number}</VersionId></DeleteMarker>"
            for number, tag in enumerate(tags)
        )
        text = f"<ListVersionsResult>{''.join(rows)}</ListVersionsResult>"
        return f"HTTP/1.1 200 x\r\nContent-Length: {len(text)}\r\n\r\n{text}".encode()


def _kind(method: str, path: str) -> str:
    """By what name a request is answered."""
    if "probe%2Fcanary" in path or path.endswith("probe/canary"):
        return f"{method} canary"
    if path.startswith("/minio/health/cluster"):
        return "LOOK" if "maintenance" in path else "health"
    if "list-type=" in path:
        return "LIST"
    return "VERSIONS" if "versions=" in path else method


@asynccontextmanager
async def objects_at(*urls: str, silence_s: float = 5.0, alone: bool = False) -> AsyncIterator[Objects]:
    """Calls to a store with these endpoints; `alone`: one alone is tested, too."""

    async def keys() -> Keys:
        return Keys("a", "s")

    limits = {"connections_max": 16, "attempts_max": 3}
    async with Objects(
        urls, "bucket", "us-east-1", keys, connect_timeout_s=1.0, read_timeout_s=silence_s, **limits
    ) as made:
        await made.endpoints.begin(alone=alone)
        yield made


def state_of(objects: Objects, member: Member) -> State:
    """What the store thinks of this member."""
    return next(one.state for one in objects.endpoints.all if one.url == member.url)


async def becomes(holds: Callable[[], bool]) -> None:
    """Wait until the background checks have found out."""
    async with asyncio.timeout(60):
        while not holds():
            await asyncio.get_running_loop().run_in_executor(None, lambda: None)


async def put(objects: Objects, key: str = "x") -> tuple[int, str]:
    """Status and code of a conditional PUT."""
    answer = await objects.put(key, [b"1"], {"if-none-match": "*"})
    return answer.status, answer.code


def apart_from(member: Member) -> None:
    """Members do not see what this one creates, nor it what they create."""
    member.seen = set()
