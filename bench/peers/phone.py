"""One phone's keep-alive connection to an upload server: requests one after another, each answer checked."""

import asyncio
import re
from collections.abc import Sequence
from typing import Final, cast

from ..errors import BenchError

_STATUS: Final = re.compile(rb"HTTP/1\.1 ([0-9]{3})")
_LENGTH: Final = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]+)", re.IGNORECASE)


class PhoneError(BenchError):
    """An answer was wrong, or the connection closed before it came."""


class Phone(asyncio.Protocol):
    """One client connection with at most one request in flight."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport
        self.closed = asyncio.Event()
        self._answer: asyncio.Future[bytes] | None = None
        self._read = b""

    @property
    def said(self) -> bytes:
        """What the server has sent since the last request began."""
        return self._read

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport, which requests are written to."""
        self.transport = cast("asyncio.Transport", transport)

    async def post(self, parts: Sequence[bytes], status: int = 201) -> bytes:
        """Send one request, head and body in parts; returns the whole answer. PhoneError when its status differs."""
        self._read = b""
        self._answer = asyncio.get_running_loop().create_future()
        self.transport.writelines(parts)
        answer = await self._answer
        said = _STATUS.match(answer)
        if said is None or int(said[1]) != status:
            raise PhoneError(repr(answer[:400]))
        return answer

    def data_received(self, data: bytes) -> None:
        """Read the answer, which may come in pieces and after interim answers."""
        self._read += data
        end = self._read.find(b"\r\n\r\n")
        while end >= 0 and self._read.startswith(b"HTTP/1.1 1"):
            self._read = self._read[end + 4 :]
            end = self._read.find(b"\r\n\r\n")
        if end < 0 or self._answer is None or self._answer.done():
            return
        length = _LENGTH.search(self._read, 0, end + 2)
        if len(self._read) >= end + 4 + (int(length[1]) if length else 0):
            self._answer.set_result(self._read)

    def connection_lost(self, _: Exception | None) -> None:
        """Fail the request in flight, if there is one."""
        self.closed.set()
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(PhoneError("the connection ended without an answer"))


async def connected(port: int) -> Phone:
    """Open a new connection to the port."""
    _, phone = await asyncio.get_running_loop().create_connection(Phone, "127.0.0.1", port)
    return phone
