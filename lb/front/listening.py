"""Listening sockets, and the PROXY header, which comes before anything else.

Without the header the event loop accepts connections by itself. With it a connection counts against the limit from its
accept, has the time of a request head for the header, and is closed without an answer when there are too many.
"""

import asyncio
import logging
import socket
from contextlib import suppress
from typing import Protocol

from ..http1.proxy_protocol import V2_BYTES_MAX, ProxyError, parse
from ..relay.connections import Connections
from ..relay.pool import Spawn

log = logging.getLogger("snapsurge.lb.listening")

BACKLOG = 4096  # A burst arrives within a second; the kernel limits this to net.core.somaxconn.
UNSENT_BYTES = 128 * 1024  # Of an answer in the kernel; without this limit, 4 MB for each client that does not read.
ACCEPTS = 16  # Connections accepted in one go, so that present connections are served in between.
ACCEPT_PAUSE_S = 0.1  # Without free descriptors: time for connections to end.


async def opened(host: str, port: int, *, shared: bool = False) -> list[socket.socket]:
    """A listening socket for each address of the host; OSError when one is in use.

    `shared` lets other processes listen on the same port (SO_REUSEPORT).
    """
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    made: list[socket.socket] = []
    try:
        for family, _, _, _, address in dict.fromkeys(found):
            made.append(socket.create_server(address[:2], family=family, backlog=BACKLOG, reuse_port=shared))
    except OSError:
        for sock in made:
            sock.close()
        raise
    for sock in made:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)  # Accepted sockets inherit it.
    return made


class Speaks(Protocol):
    """Makes the protocol of an accepted connection."""

    def __call__(self, address: str = "", /) -> asyncio.BaseProtocol:
        """`address` is the client's where a PROXY header named it."""


class Acceptor:
    """Accepts connections until closed; with `proxied` a PROXY header comes before what `protocol` speaks."""

    def __init__(self, connections: Connections, protocol: Speaks, *, proxied: bool, spawn: Spawn) -> None:
        self._connections, self._protocol, self._proxied, self._spawn = connections, protocol, proxied, spawn
        self._servers: list[asyncio.Server] = []
        self._readers: list[socket.socket] = []
        self._open = True

    async def start(self, sockets: list[socket.socket]) -> None:
        """Accept on a duplicate of each socket, so that the original can still be handed over."""
        loop = asyncio.get_running_loop()
        for original in sockets:
            sock = original.dup()
            sock.setblocking(False)
            if self._proxied:
                loop.add_reader(sock, self._accept, sock)
                self._readers.append(sock)
            else:
                self._servers.append(await loop.create_server(self._protocol, sock=sock, backlog=BACKLOG))

    def close(self) -> None:
        """Stop accepting; accepted connections go on."""
        loop = asyncio.get_running_loop()
        self._open = False
        for server in self._servers:
            server.close()
        for sock in self._readers:
            loop.remove_reader(sock)
            sock.close()

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(ACCEPTS):
            try:
                sock, peer = listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                log.warning("cannot accept a connection, trying again in %.1f s: %s", ACCEPT_PAUSE_S, error.strerror)
                loop = asyncio.get_running_loop()
                loop.remove_reader(listener)
                loop.call_later(ACCEPT_PAUSE_S, self._accept_again, listener)
                return
            if self._connections.expect():
                sock.setblocking(False)
                self._spawn(self._prepare(sock, str(peer[0])))
            else:
                sock.close()

    def _accept_again(self, listener: socket.socket) -> None:
        if self._open:
            asyncio.get_running_loop().add_reader(listener, self._accept, listener)

    async def _prepare(self, sock: socket.socket, peer: str) -> None:
        """Read the PROXY header, then let the connection speak."""
        connections, context = self._connections, self._connections.context
        try:
            try:
                async with asyncio.timeout(context.config.head_s):
                    trusted = not context.config.trusted_peers or context.trusts(peer)
                    address = await read_proxy_header(sock, trusted=trusted)
            finally:
                connections.expected -= 1
            await asyncio.get_running_loop().connect_accepted_socket(lambda: self._protocol(address), sock)
        except (ProxyError, TimeoutError, OSError):
            context.counters.heads_refused += 1
            sock.close()


async def read_proxy_header(sock: socket.socket, *, trusted: bool = True) -> str:
    """Read the PROXY header and return the client's address; raises ProxyError."""
    data = b""
    if not trusted:
        raise ProxyError("not a trusted peer")
    while True:
        await _wait_readable(sock)
        with suppress(BlockingIOError):
            # Peek before the read: not one byte of TLS or HTTP behind the header may be taken.
            seen = sock.recv(V2_BYTES_MAX - len(data), socket.MSG_PEEK)
            if not seen:
                raise ProxyError("connection ended")
            found = parse(data + seen)
            data += sock.recv(found.length - len(data) if found else len(seen))
            if found:
                return found.address


async def _wait_readable(sock: socket.socket) -> None:
    """Wait until the socket is readable."""
    loop, there = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(sock, there.set)
    try:
        await there.wait()
    finally:
        loop.remove_reader(sock)


def url(address: tuple[str, int], scheme: str = "http") -> str:
    """An address as a URL."""
    host = f"[{address[0]}]" if ":" in address[0] else address[0]
    return f"{scheme}://{host}:{address[1]}"
