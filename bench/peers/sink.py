"""The node behind every balancer of the contest: reads a body, answers 200, and does nothing else.

    python -m bench.peers.sink 9001 9002 9003

The node does not validate requests, because only balancers send to it. Of a chunked body it looks for the end, which
the load generator sends nowhere else. One process listens on all given ports.
"""

import asyncio
import re
import sys
from typing import Final, cast

import uvloop

ANSWER: Final = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"
BACKLOG: Final = 4096
_LENGTH: Final = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]+)", re.IGNORECASE)
_CHUNKED: Final = re.compile(rb"\r\ntransfer-encoding:[ \t]*chunked", re.IGNORECASE)
_LAST: Final = b"\r\n0\r\n\r\n"
_CLOSE: Final = re.compile(rb"\r\nconnection:[ \t]*close", re.IGNORECASE)


class Sink(asyncio.Protocol):
    """One connection from a balancer."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport
        self._head = b""
        self._left = 0
        self._tail: bytes | None = None  # The last bytes of a chunked body.
        self._closes = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport, which answers are written to."""
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Read a head or a piece of a body; send the answer after the last byte of the body."""
        if self._tail is not None:
            # Of a chunked body only the end is looked for, which the load generator sends nowhere else.
            self._tail = (self._tail + data[-len(_LAST) :])[-len(_LAST) :]
        elif self._left:
            self._left -= len(data)
        else:
            data = self._head + data
            end = data.find(b"\r\n\r\n")
            self._head = data if end < 0 else b""
            if end < 0:
                return
            length = _LENGTH.search(data, 0, end)
            self._closes = _CLOSE.search(data, 0, end) is not None
            if _CHUNKED.search(data, 0, end):
                self._tail = data[max(end + 2, len(data) - len(_LAST)) :]
            self._left = (int(length[1]) if length else 0) - (len(data) - end - 4)
        if self._left <= 0 and self._tail in {None, _LAST}:
            self._left, self._tail = 0, None
            self.transport.write(ANSWER)
            if self._closes:
                self.transport.close()


async def serve(ports: list[int]) -> None:
    """Listen until killed; prints `ready` when all ports are open."""
    loop = asyncio.get_running_loop()
    for port in ports:
        await loop.create_server(Sink, "127.0.0.1", port, backlog=BACKLOG)
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve([int(port) for port in sys.argv[1:]]))
