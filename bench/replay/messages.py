"""What a coordinator and its generators tell each other over one TCP connection, and how it is framed.

A frame is four bytes of length and one message in MessagePack. The connection is neither encrypted nor authenticated,
so it belongs on a network of one's own.
"""

import asyncio
import struct
from typing import Final, TypeVar

import msgspec
from msgspec.msgpack import Decoder

from ..config import Config
from ..errors import BenchError
from .beats import Arrival, Beat

PROTOCOL: Final = 2  # raised when a message changes: all generators run the same code
FRAME_BYTES_MAX: Final = 64 * 1024 * 1024
# Who connects is not known yet, so the first message is small.
HELLO_BYTES_MAX: Final = 4096
LENGTH: Final = struct.Struct("!I")


class WireError(BenchError):
    """The connection ended, or what came is not a message."""


class Hello(msgspec.Struct, frozen=True, tag=True):
    """A generator's first words: `machine` names the computer, which joins with so many `generators`."""

    protocol: int
    host: str
    pid: int
    machine: str
    generators: int


class Pong(msgspec.Struct, frozen=True, tag=True):
    """The generator's clock, in Unix seconds."""

    now: float


class Ready(msgspec.Struct, frozen=True, tag=True):
    """The generator has its arrivals and its photos."""


class Beats(msgspec.Struct, frozen=True, tag=True):
    """What the generator did since its beat before."""

    beat: Beat


class Done(msgspec.Struct, frozen=True, tag=True):
    """The generator's last upload has ended, and all was told; CPU ms of its process while it sent."""

    cpu_ms: float


class Ping(msgspec.Struct, frozen=True, tag=True):
    """Asks for the generator's clock."""


class Refused(msgspec.Struct, frozen=True, tag=True):
    """The generator may not join."""

    why: str


class Plan(msgspec.Struct, frozen=True, tag=True):
    """How to send; the secret in `config` is blanked."""

    # No secret is sent: the coordinator makes the tokens of all users, which are good for uploads of made-up users
    # only.
    config: Config
    targets: tuple[str, ...]
    obey_uplink: bool
    fresh: bool
    resume: bool
    photo_bytes_max: int


class Share(msgspec.Struct, frozen=True, tag=True):
    """Some of the generator's arrivals; after the last, it gets ready."""

    arrivals: tuple[Arrival, ...]
    last: bool


class Fire(msgspec.Struct, frozen=True, tag=True):
    """The moment is open and fires at this Unix second."""

    moment_id: str
    fires_at: float


class Stop(msgspec.Struct, frozen=True, tag=True):
    """From the coordinator: start no more uploads; the run was cancelled."""


ToCoordinator = Hello | Pong | Ready | Beats | Done
ToGenerator = Ping | Refused | Plan | Share | Fire | Stop
HELLO: Final = Decoder(Hello)
PONG: Final = Decoder(Pong)
READY: Final = Decoder(Ready)
TOLD: Final[Decoder[ToCoordinator]] = Decoder(ToCoordinator)
ASKED: Final[Decoder[ToGenerator]] = Decoder(ToGenerator)
M = TypeVar("M")


class Wire:
    """One end of the connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    def say(self, message: ToCoordinator | ToGenerator) -> None:
        """Send a message without waiting for room."""
        body = msgspec.msgpack.encode(message)
        self._writer.write(LENGTH.pack(len(body)) + body)

    async def send(self, message: ToCoordinator | ToGenerator) -> None:
        """Send a message, and wait while the other end does not keep up."""
        self.say(message)
        try:
            await self._writer.drain()
        except OSError as error:
            raise WireError(f"the connection ended: {error}") from error

    async def receive(self, decoder: Decoder[M], most: int = FRAME_BYTES_MAX) -> M:
        """The next message; WireError when the connection ends or the message is of another kind."""
        try:
            (length,) = LENGTH.unpack(await self._reader.readexactly(LENGTH.size))
            if length > most:
                raise WireError(f"a message of {length} bytes, more than {most}")
            return decoder.decode(await self._reader.readexactly(length))
        except (OSError, EOFError) as error:
            raise WireError("the connection ended") from error
        except msgspec.MsgspecError as error:
            raise WireError(f"not a message of this version: {error}") from error

    def close(self) -> None:
        """End the connection after what was said."""
        self._writer.close()
