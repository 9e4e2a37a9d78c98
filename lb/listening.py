"""The listening sockets: opened, or taken over, and what happens to a connection before it becomes a client.

Plain HTTP is accepted by the loop. A PROXY header and a TLS handshake come before a connection is a client: such a
connection counts from its accept, has the head's time for either, and is closed without a word when there are too many.
A header is read to its end and no byte beyond it, so that TLS or HTTP begin where they should.
"""

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import TYPE_CHECKING

from .proxyproto import V2_BYTES_MAX, ProxyError, parse

if TYPE_CHECKING:
    from .proxy import Proxy

log = logging.getLogger("snapsurge.lb.listening")

BACKLOG = 4096  # A burst arrives within a second; the kernel caps this at net.core.somaxconn.
UNSENT_BYTES = 128 * 1024  # Of an answer in the kernel; without a bound, 4 MB for each client that does not read.
ACCEPTS = 16  # Connections accepted in one go, so that those there are have their turn.
ACCEPT_REST_S = 0.1  # Out of descriptors: leave some to connections that end.

Spawn = Callable[[Coroutine[object, object, None]], object]


async def opened(host: str, port: int, *, shared: bool = False) -> list[socket.socket]:
    """A listening socket for each address of the host, `shared` with other processes; OSError when one is taken."""
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


class Reception:
    """Accepts on the sockets until closed; `tls` None speaks plain HTTP."""

    def __init__(self, proxy: "Proxy", tls: ssl.SSLContext | None, *, proxied: bool, spawn: Spawn) -> None:
        self._proxy, self._tls, self._proxied, self._spawn = proxy, tls, proxied, spawn
        self._servers: list[asyncio.Server] = []
        self._readers: list[socket.socket] = []
        self._open = True
        self._patience_s = proxy.config.head_s if tls else None

    async def start(self, sockets: list[socket.socket]) -> None:
        """Accept; each socket is used by its duplicate, so that the original can still be handed over."""
        loop = asyncio.get_running_loop()
        for original in sockets:
            sock = original.dup()
            sock.setblocking(False)
            if self._proxied or self._tls:
                loop.add_reader(sock, self._accept, sock)
                self._readers.append(sock)
            else:
                self._servers.append(await loop.create_server(self._proxy, sock=sock, backlog=BACKLOG))

    def close(self) -> None:
        """Accept no more; connections accepted go on."""
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
                log.warning("cannot accept a connection: %s; trying again in %.1f s", error.strerror, ACCEPT_REST_S)
                loop = asyncio.get_running_loop()
                loop.remove_reader(listener)
                loop.call_later(ACCEPT_REST_S, self._accept_again, listener)
                return
            if self._proxy.expect():
                sock.setblocking(False)
                self._spawn(self._welcome(sock, str(peer[0])))
            else:
                sock.close()

    def _accept_again(self, listener: socket.socket) -> None:
        if self._open:
            asyncio.get_running_loop().add_reader(listener, self._accept, listener)

    async def _welcome(self, sock: socket.socket, peer: str) -> None:
        """Read the header, shake hands, then let the connection begin."""
        config, proxy = self._proxy.config, self._proxy
        address = ""
        try:
            if self._proxied:
                async with asyncio.timeout(config.head_s):
                    address = await self._preface(sock, believed=not config.trusted_peers or proxy.trusts(peer))
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: proxy(address), sock, ssl=self._tls, ssl_handshake_timeout=self._patience_s
            )
        except (ProxyError, TimeoutError, OSError):
            proxy.counters.heads_refused += 1
            sock.close()
        finally:
            proxy.expected -= 1

    @staticmethod
    async def _preface(sock: socket.socket, *, believed: bool = True) -> str:
        """The address in the header. Bytes are looked at before they are taken: mostly one read, and never too far."""
        data = b""
        if not believed:
            raise ProxyError("not a trusted peer")
        while True:
            await _readable(sock)
            with suppress(BlockingIOError):
                seen = sock.recv(V2_BYTES_MAX - len(data), socket.MSG_PEEK)
                if not seen:
                    raise ProxyError("left")
                found = parse(data + seen)
                data += sock.recv(found.length - len(data) if found else len(seen))
                if found:
                    return found.address


async def _readable(sock: socket.socket) -> None:
    """Until there is something to read."""
    loop, there = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(sock, there.set)
    try:
        await there.wait()
    finally:
        loop.remove_reader(sock)
