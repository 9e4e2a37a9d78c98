"""The context of an attack: the rig, the attackers' moments and tokens, the attack's duration, and raw requests.

Attackers connect directly to the balancers and honest phones through the fault proxies, so that attackers' traffic does
not load the proxies of honest phones.
"""

import asyncio
import contextlib
import io
import random
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

import aiohttp
import msgspec

from deploy.tokens import Scope, token
from tests.faults.evidence import Void
from tests.faults.phones import BOUNDARY, SECRET, Camera, Pair, Phones
from tests.faults.rig import Opened, Rig

OPEN_S = 5.0


class Outcome(msgspec.Struct, frozen=True):
    """The evidence that the attack happened, and the claims of the attack that did not hold."""

    evidence: str
    broken: tuple[str, ...] = ()


class Stage:
    """One phase of a trial, an attack or its control. Users are named after `name`, which no other phase has."""

    def __init__(
        self, rig: Rig, name: str, phones: Phones, judged: str, camera: Camera, lasts_s: float, *, mixed: bool
    ) -> None:
        self.rig, self.name, self.phones, self.judged, self.camera = rig, name, phones, judged, camera
        self.mixed = mixed  # other attacks run too, so that the stack's CPU is not due to one attack alone
        self.ends = time.monotonic() + lasts_s
        self.spare: list[Opened] = []

    @property
    def lasts(self) -> bool:
        """Whether the attack is not over yet."""
        return time.monotonic() < self.ends

    @property
    def balancers(self) -> list[str]:
        """The URLs of the balancers, which attackers use."""
        return [each.url for each in self.rig.record().balancers]

    async def moment(self) -> Opened:
        """Open a moment for the attackers' posts; it is removed after the trial and not judged."""
        self.spare.append(await self.rig.open_moment(600))
        return self.spare[-1]

    async def ask(
        self, method: str, path: str, user: str, *, door: int = 0, scope: Scope = "upload", body: bytes | None = None,
        headers: Mapping[str, str] | None = None, answer_s: float = 10.0,
    ) -> tuple[int, Any]:  # fmt: skip
        """Status and JSON (None when the body is not JSON) of one request; status 0 without an answer."""
        url = self.balancers[door % len(self.balancers)] + path
        every = {"Authorization": f"Bearer {bearer(user, scope)}", **(headers or {})}
        try:
            async with (
                asyncio.timeout(answer_s),
                self.rig.session.request(method, url, data=io.BytesIO(body) if body else None, headers=every) as answer,
            ):
                said = await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError):
            return 0, None
        with contextlib.suppress(msgspec.DecodeError):
            return answer.status, msgspec.json.decode(said)
        return answer.status, None

    async def post(self, moment: str, user: str, pair: Pair, *, door: int = 0) -> tuple[int, Any]:
        """Upload a pair once, without the witness; returns status and JSON."""
        kind = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
        return await self.ask("POST", f"/v1/moments/{moment}/posts", user, door=door, body=pair.body, headers=kind)

    async def posted(self, moment: str, user: str, pair: Pair) -> dict[str, Any]:
        """Upload a pair, with retries, and return the post; Void when it was never accepted."""
        for door in range(6):
            status, post = await self.post(moment, user, pair, door=door)
            if status in {200, 201}:
                return dict(post)
            await asyncio.sleep(1.0)
        raise Void(f"an attacker's pair was answered {status}")

    async def until_ready(self, post_id: str, user: str, timeout_s: float = 20.0) -> dict[str, Any]:
        """Wait until the post is ready and return it; TimeoutError when it is not ready in time."""
        async with asyncio.timeout(timeout_s):
            while True:
                status, post = await self.ask("GET", f"/v1/posts/{post_id}", user)
                if status == 200 and post["state"] != "accepted":
                    return dict(post)
                await asyncio.sleep(0.25)

    @contextlib.asynccontextmanager
    async def connection(self, door: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """Open a connection to a balancer; it is aborted when the block ends."""
        port = int(self.balancers[door % len(self.balancers)].rpartition(":")[2])
        async with asyncio.timeout(OPEN_S):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            yield reader, writer
        finally:
            writer.transport.abort()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def rest(self) -> None:
        """Wait until the attack is over."""
        await asyncio.sleep(max(0.0, self.ends - time.monotonic()))


def bearer(user: str, scope: Scope = "upload") -> str:
    """A bearer token of this user."""
    return token(SECRET, user, scope, now=time.time(), ttl_s=3600)


def head(method: str, path: str, user: str, fields: Mapping[str, str]) -> bytes:
    """A raw request head with the user's token."""
    every = {"Host": "attack", "Authorization": f"Bearer {bearer(user)}", **fields}
    return (
        f"{method} {path} HTTP/1.1\r\n" + "".join(f"{name}: {text}\r\n" for name, text in every.items()) + "\r\n"
    ).encode()


async def status_of(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    """Status and fields (lower-case names) of an answer's head; ConnectionError when there is none."""
    try:
        raw = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
        raise ConnectionError(str(error)) from None
    first, *lines = raw.decode("latin-1").split("\r\n")
    fields = {name.lower(): text.strip() for name, _, text in (line.partition(":") for line in lines if line)}
    return int(first.split(" ")[1]), fields


def jitter(rng: random.Random, seconds: float) -> float:
    """A random duration around `seconds`."""
    return seconds * rng.uniform(0.5, 1.5)
