"""One request of a phone that resumes, over a raw socket: how it goes about it, what it sent, how it breaks off."""

import asyncio
import base64
import hashlib
import random
import socket
import struct
from collections.abc import Callable
from contextlib import suppress

import msgspec

from tests.faults.phones import PIECES, UPLINK_S
from tests.resumable import VERSIONS, Connection
from tests.resumable import Answer as Said


class Course(msgspec.Struct, frozen=True):
    """How a phone goes about its upload: its version, whether it sends a digest, the first part, its breaks."""

    version: str
    digest: bool
    part: int  # bytes of the body that the creation has
    breaks: int
    pace_s: float

    @classmethod
    def drawn(cls, rng: random.Random, length: int) -> "Course":
        """A random one; half of the phones are of the newest version."""
        return cls(
            version=rng.choice((*VERSIONS, "8", "8")),
            digest=rng.random() < 0.8,
            part=rng.randint(1, length - 1) if rng.random() < 0.2 else length,
            breaks=rng.choice((0, 1, 1, 1, 2, 3)),
            pace_s=max(0.0, rng.uniform(-UPLINK_S / 2, UPLINK_S)),
        )

    def lines(self, body: bytes) -> list[str]:
        """The header lines of its digest, over the content or, where this is only a part, over all of the body."""
        name = "Content-Digest" if self.part == len(body) else "Repr-Digest"
        value = base64.b64encode(hashlib.sha256(body).digest()).decode()
        return [f"{name}: sha-256=:{value}:"] if self.digest else []


class Exchange:
    """One request on a connection of its own: how many bytes of its content were sent, and the final answer if any.

    `sends` is called before bytes are sent, with how many of this request are sent then.
    """

    def __init__(self, sends: Callable[[int], None]) -> None:
        self.sent = 0
        self.final: Said | None = None
        self.over = False
        self.sends = sends


def complete(said: Said) -> bool:
    """Whether the answer says that the upload is complete."""
    return said.fields.get("upload-complete") == "?1" or said.fields.get("upload-incomplete") == "?0"


async def read(connection: Connection, found: Exchange, interim: Callable[[Said], None], *, bodyless: bool) -> None:
    """Take interim answers until the final one, or the end of the connection."""
    try:
        with suppress(OSError, asyncio.IncompleteReadError):
            while (said := await connection.one(bodyless=bodyless)).status < 200:
                interim(said)
            found.final = said
    finally:
        found.over = True


async def write(connection: Connection, found: Exchange, head: bytes, content: bytes, seconds: float) -> None:
    """Send head and content in pieces spread over `seconds`, as long as nothing final was answered."""
    size = len(content) // PIECES + 1 if seconds else max(1, len(content))
    with suppress(OSError):
        connection.send(head)
        for at in range(0, len(content), size):
            if found.over:
                return
            found.sent += len(content[at : at + size])
            found.sends(found.sent)
            connection.send(content[at : at + size])
            await connection.writer.drain()
            await asyncio.sleep(seconds / PIECES)


def broken(connection: Connection, *, reset: bool) -> None:
    """End the connection with FIN or RST."""
    if reset:
        own = connection.writer.get_extra_info("socket")
        with suppress(OSError):
            own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.writer.transport.abort()
    else:
        connection.writer.close()
