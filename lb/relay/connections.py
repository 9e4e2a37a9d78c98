"""All client connections of a process: makes them, counts them against the limit, checks their deadlines, drains them.

It owns no listening sockets (`front/listening.py` has them) and knows nothing of signals, Redis or the admin port.
"""

import asyncio

from .client import Client
from .context import Context

CHECK_S = 1.0  # All deadlines are whole seconds, so one check a second is precise enough.
# Time in which the process was stopped or busy is not the client's: the timers run before the sockets are read.
CHARGED_S_MAX = 2 * CHECK_S


class Connections:
    """The only place that constructs a `Client`."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.clients: set[Client] = set()
        self.expected = 0  # Connections in a TLS handshake or a PROXY header: accepted, not yet clients.
        self._emptied = asyncio.Event()

    def accept(self, address: str = "") -> Client:
        """A protocol for an accepted connection; `address` is the client's where a PROXY header named it."""
        return Client(self.context, self, address)

    def expect(self) -> bool:
        """Count a connection that must first pass a handshake or a PROXY header; False when there are too many."""
        counters = self.context.counters
        if len(self.clients) + self.expected >= self.context.config.connections_max:
            counters.connections += 1
            counters.connections_refused += 1
            return False
        self.expected += 1
        return True

    def admit(self, client: Client) -> bool:
        """Add a new client connection; False when there are too many."""
        counters = self.context.counters
        counters.connections += 1
        self.clients.add(client)
        if len(self.clients) > self.context.config.connections_max:
            counters.connections_refused += 1
            return False
        return True

    def left(self, client: Client) -> None:
        """Remove a connection that has ended."""
        self.clients.discard(client)
        if not self.clients:
            self._emptied.set()

    async def watch(self) -> None:
        """Check the deadlines of all connections once a second, until cancelled."""
        clock = self.context.clock
        before = clock()
        while True:
            await asyncio.sleep(CHECK_S)
            now = clock()
            seconds = min(now - before, CHARGED_S_MAX)
            # A copy: a client that ends leaves the set.
            for client in list(self.clients):
                client.check(seconds)
            self.context.pool.sweep(now)
            before = now

    def _close_idle(self, *, fresh: bool) -> None:
        """Close connections between requests; with `fresh` also those that have not sent a request yet."""
        for client in list(self.clients):
            if client.idle and (fresh or not client.fresh):
                client.transport.close()

    async def drain(self, deadline_s: float) -> int:
        """Let requests in progress finish until the deadline; returns how many connections were cut."""
        self.context.draining = True
        self._close_idle(fresh=False)
        # The first request of a connection accepted a moment ago may be on its way: it gets a moment more.
        self.context.loop.call_later(self.context.config.drain_fresh_ms / 1000, lambda: self._close_idle(fresh=True))
        self._emptied.clear()
        if self.clients:
            try:
                async with asyncio.timeout(deadline_s):
                    await self._emptied.wait()
            except TimeoutError:
                pass
        cut = len(self.clients)
        for client in list(self.clients):
            client.transport.abort()
        self.context.pool.close()
        return cut
