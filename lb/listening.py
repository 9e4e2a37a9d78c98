"""The listening sockets: opened, or taken over, and what happens to a connection before it becomes a client.

Without the PROXY protocol the loop accepts, TLS included. With it, each connection's header is read first, no byte
beyond it, so that TLS or HTTP begin where they should; who sends no proper header within the head's time is closed.
"""

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING

from .proxyproto import ProxyError, missing, parse

if TYPE_CHECKING:
    from .proxy import Proxy

log = logging.getLogger("snapsurge.lb.listening")

BACKLOG = 4096  # A burst arrives within a second; the kernel caps this at net.core.somaxconn.
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
    return made


class Reception:
    """Accepts on the sockets until closed; `tls` None speaks plain HTTP."""

    def __init__(self, proxy: "Proxy", tls: ssl.SSLContext | None, *, proxied: bool, spawn: Spawn) -> None:
        self._proxy, self._tls, self._proxied, self._spawn = proxy, tls, proxied, spawn
        self._servers: list[asyncio.Server] = []
        self._readers: list[socket.socket] = []
        self._open = True
        self._patience_s = proxy.config.head_s if tls else None
        self.waiting = 0  # connections whose header or handshake is under way

    async def start(self, sockets: list[socket.socket]) -> None:
        """Accept; each socket is used by its duplicate, so that the original can still be handed over."""
        loop = asyncio.get_running_loop()
        for original in sockets:
            sock = original.dup()
            sock.setblocking(False)
            if self._proxied:
                loop.add_reader(sock, self._accept, sock)
                self._readers.append(sock)
            else:
                server = await loop.create_server(
                    self._proxy, sock=sock, backlog=BACKLOG, ssl=self._tls, ssl_handshake_timeout=self._patience_s
                )
                self._servers.append(server)

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
        try:
            sock, peer = listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return
        except OSError as error:
            log.warning("cannot accept: %s", error.strerror)
            loop = asyncio.get_running_loop()
            loop.remove_reader(listener)
            loop.call_later(ACCEPT_REST_S, self._accept_again, listener)
            return
        sock.setblocking(False)
        self._spawn(self._welcome(sock, str(peer[0])))

    def _accept_again(self, listener: socket.socket) -> None:
        if self._open:
            asyncio.get_running_loop().add_reader(listener, self._accept, listener)

    async def _welcome(self, sock: socket.socket, peer: str) -> None:
        """Read the header, then let the connection begin."""
        config, proxy = self._proxy.config, self._proxy
        self.waiting += 1
        try:
            async with asyncio.timeout(config.head_s):
                address = await self._preface(sock, believed=not config.trusted_peers or proxy.trusts(peer))
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: proxy(address), sock, ssl=self._tls, ssl_handshake_timeout=self._patience_s
            )
        except (ProxyError, TimeoutError, OSError):
            proxy.counters.heads_refused += 1
            sock.close()
        finally:
            self.waiting -= 1

    @staticmethod
    async def _preface(sock: socket.socket, *, believed: bool = True) -> str:
        loop, data = asyncio.get_running_loop(), b""
        if not believed:
            raise ProxyError("not a trusted peer")
        while (found := parse(data) if data else None) is None:
            more = await loop.sock_recv(sock, missing(data))
            if not more:
                raise ProxyError("left")
            data += more
        return found.address
