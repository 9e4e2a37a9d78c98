"""Listening sockets, and what comes before a connection is a client: the PROXY header and the TLS handshake.

Without either the event loop accepts connections by itself. With one, a connection counts against the limit from its
accept, has the time of a request head for each, and is closed without an answer when there are too many.
"""

import asyncio
import logging
import socket
import ssl
from contextlib import suppress

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


class Acceptor:
    """Accepts connections until closed; without `tls` they speak HTTP, with `proxied` a PROXY header comes first."""

    def __init__(self, connections: Connections, tls: ssl.SSLContext | None, *, proxied: bool, spawn: Spawn) -> None:
        self._connections, self._tls, self._proxied, self._spawn = connections, tls, proxied, spawn
        self._servers: list[asyncio.Server] = []
        self._readers: list[socket.socket] = []
        self._open = True
        self._handshake_s = connections.context.config.head_s if tls else None

    async def start(self, sockets: list[socket.socket]) -> None:
        """Accept on a duplicate of each socket, so that the original can still be handed over."""
        loop = asyncio.get_running_loop()
        for original in sockets:
            sock = original.dup()
            sock.setblocking(False)
            if self._proxied or self._tls:
                loop.add_reader(sock, self._accept, sock)
                self._readers.append(sock)
            else:
                self._servers.append(await loop.create_server(self._connections.accept, sock=sock, backlog=BACKLOG))

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
        """Read the PROXY header, do the TLS handshake, then make the connection a client."""
        connections, context = self._connections, self._connections.context
        address = ""
        try:
            if self._proxied:
                async with asyncio.timeout(context.config.head_s):
                    trusted = not context.config.trusted_peers or context.trusts(peer)
                    address = await read_proxy_header(sock, trusted=trusted)
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: connections.accept(address), sock, ssl=self._tls, ssl_handshake_timeout=self._handshake_s
            )
        except (ProxyError, TimeoutError, OSError):
            context.counters.heads_refused += 1
            sock.close()
        finally:
            connections.expected -= 1


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
