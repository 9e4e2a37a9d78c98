"""Serves the live view as one page: files of ours, and a stream of server-sent events with the latest view."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager, suppress
from ipaddress import ip_address
from pathlib import Path
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

import msgspec
from aiohttp import web

from .feed import Feed
from .prediction import Prediction
from .view import View

log = logging.getLogger("snapsurge.deploy.watching")

PAGES: Final = Path(__file__).parent / "pages"
FILES: Final = MappingProxyType(
    {
        "/": ("watch.html", "text/html"),
        "/watch.css": ("watch.css", "text/css"),
        "/watch.js": ("watch.js", "text/javascript"),
        "/icon.svg": ("icon.svg", "image/svg+xml"),
    }
)
HEADERS: Final = MappingProxyType(
    {
        # The page loads nothing from elsewhere, and a text from a program that were taken for markup could not, either.
        "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cache-Control": "no-store",
    }
)
READERS_MAX: Final = 64  # People of one team; each takes some 15 kB every three seconds.
# A reader that takes nothing for so long is disconnected; the browser connects again by itself.
STALLED_S: Final = 20.0
END_S: Final = 1.0  # After that a page that takes nothing does not keep the end waiting.
ANOTHER_NAME: Final = "not served under this name: open it by its address, or by the name that --listen has\n"
RETRY: Final = b"retry: 2000\n\n"  # milliseconds after which a browser connects again


def called_by(host: str, names: Collection[str]) -> bool:
    """Whether a Host header is an address or one of these names.

    A page of a stranger may let its own name lead here (DNS rebinding), and could read what is served then.
    """
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    with suppress(ValueError):
        return bool(ip_address(name))
    return name in names


def frame(view: View) -> bytes:
    """A view as an event."""
    return b"data: " + msgspec.json.encode(view) + b"\n\n"


def foretold(prediction: Prediction | None) -> bytes:
    """The predicted course as an event; it never changes, so each reader gets it once."""
    if prediction is None:
        return b""
    return b"event: prediction\ndata: " + msgspec.json.encode(prediction.course()) + b"\n\n"


class Service:
    """The HTTP calls of the watch page: the page, its stream of views, the view as JSON."""

    def __init__(self, feed: Feed, prediction: Prediction | None = None, *, stalled_s: float = STALLED_S) -> None:
        self._feed, self._opening, self._stalled_s = feed, RETRY + foretold(prediction), stalled_s
        self._transports: set[asyncio.WriteTransport] = set()

    @property
    def readers(self) -> int:
        """Pages that are open."""
        return len(self._transports)

    def transports(self) -> frozenset[asyncio.WriteTransport]:
        """The connections that have the page open."""
        return frozenset(self._transports)

    def application(self, host: str) -> web.Application:
        """The web application, for requests to this host by its name or by any address."""
        names = frozenset({"localhost", host.lower(), socket.gethostname().lower()})

        @web.middleware
        async def guarded(
            request: web.Request, handler: Callable[..., Awaitable[web.StreamResponse]]
        ) -> web.StreamResponse:
            if called_by(request.host, names):
                return await handler(request)
            return web.Response(status=421, text=ANOTHER_NAME, headers=HEADERS)

        app = web.Application(middlewares=[guarded])
        app.add_routes([web.get(path, self._file) for path in FILES])
        app.add_routes([web.get("/events", self._events)])
        return app

    async def _file(self, request: web.Request) -> web.Response:
        name, kind = FILES[request.path]
        # In a thread, because a disk may be slow; each time, because a page that changed is then seen on reload.
        body = await asyncio.to_thread((PAGES / name).read_bytes)
        return web.Response(body=body, content_type=kind, charset="utf-8", headers=HEADERS)

    async def _events(self, request: web.Request) -> web.StreamResponse:
        if request.method == "HEAD":
            return web.Response(content_type="text/event-stream", headers=HEADERS)
        if self.readers >= READERS_MAX:
            return web.Response(status=503, text="too many pages are open: close one\n", headers=HEADERS)
        transport = request.transport
        if transport is None:  # It left already.
            return web.Response()
        self._transports.add(transport)
        try:
            return await self._stream(request, transport)
        finally:
            self._transports.discard(transport)

    async def _stream(self, request: web.Request, transport: asyncio.WriteTransport) -> web.StreamResponse:
        # A reader costs what one frame needs: the feed keeps one for all, and the socket's buffer is bounded.
        response = web.StreamResponse(headers={**HEADERS, "Content-Type": "text/event-stream"})
        try:
            await response.prepare(request)
            await response.write(self._opening)
            number = 0
            while (fresh := await self._feed.after(number)) is not None:
                number, body = fresh
                async with asyncio.timeout(self._stalled_s):
                    await response.write(body)
        except TimeoutError:
            log.info("a page took nothing for %g s: disconnected; it connects again by itself", self._stalled_s)
            transport.abort()
        except ConnectionError:
            pass  # The reader left.
        return response


@asynccontextmanager
async def served(host: str, port: int, service: Service, feed: Feed) -> AsyncIterator[str]:
    """Serve the page inside the block; yields its address. OSError when the port is in use."""
    app = service.application(host)
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=END_S)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        bound = runner.addresses[0]
        yield f"http://{f'[{bound[0]}]' if ':' in bound[0] else bound[0]}:{bound[1]}/"
    finally:
        feed.close()
        await runner.cleanup()
