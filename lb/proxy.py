"""What all connections share: configuration, fleet, pool, counters, the clock, and the once-a-second check.

It accepts up to a limit, drains on request, and owns no sockets of its own; `server.py` listens. It knows nothing of
signals, Redis or the admin port.
"""

import asyncio
import itertools
import random
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from .access import Seen
from .client import Client
from .counters import Counters
from .errors import RequestError
from .forward import told_ms
from .keys import keyer
from .lag import Lag
from .peers import Origin, networks, origin, trusted
from .pool import Pool, PoolLimits, Spawn
from .private import PrivatePaths
from .tank import Tank
from .tickets import STATUSES, Tickets, part

if TYPE_CHECKING:
    from .config import Config
    from .exchange import Exchange
    from .fleet import Fleet, Node
    from .head import RequestHead
    from .ports import Speaker

CHECK_S = 1.0  # All deadlines are whole seconds, so one look a second is precise enough.


class Proxy:
    """The balancer without its edges; `spawn` starts a task in the server's TaskGroup."""

    def __init__(self, config: "Config", fleet: "Fleet", *, hash_on: str, spawn: Spawn) -> None:
        self.config = config
        self.fleet = fleet
        self.loop = asyncio.get_running_loop()
        self.clock = self.loop.time
        self.lag = Lag(self.clock)
        self.counters = Counters()
        self.tank = Tank()
        self.tickets = Tickets(config.ticket_secrets)
        self.check_head = head_check(config.body_bytes_max, PrivatePaths(config.private_paths))
        self.keyer = keyer(hash_on, cache_max=config.tokens_max)
        self._id_start = b"%016x" % random.getrandbits(64)
        self._ids = itertools.count()
        self.draining = False
        self.clients: set[Client] = set()
        self.expected = 0  # connections whose header or handshake is under way
        self.pool = Pool(
            fleet,
            PoolLimits(
                idle_s=config.pool_idle_s,
                idle_max=config.pool_max,
                connect_s=config.connect_ms / 1000,
                head_bytes_max=config.answer_head_bytes_max,
                write_bytes_max=config.write_bytes_max,
            ),
            spawn,
        )
        self.proto = b"http"
        self.note: Callable[[Seen], None] | None = None
        self._trusted = networks(config.trusted_peers)
        self._emptied = asyncio.Event()

    def __call__(self, address: str = "") -> Client:
        """A protocol for a connection just accepted; `address` if it is known better than from the socket."""
        return Client(self, address)

    def trusts(self, address: str) -> bool:
        """Whether this peer may say what only balancers may."""
        return bool(self._trusted) and trusted(address, self._trusted)

    def origin(self, head: "RequestHead", client: "Speaker") -> Origin:
        """Where a request that claims something comes from: by a trusted peer's word, and by its ticket."""
        claims, ticket = part(head.claims)
        found = client.origin
        if client.trusted:
            found = origin(claims, client.address, self.proto, self._trusted)
        if ticket is None:
            return found
        now_ms = self.lag.came_ms(client.transport, self.clock())
        verdict = self.tickets.read(head, ticket, now_ms)
        self.counters.tickets[verdict.outcome] += 1
        return found.retried(verdict.first_ms, now_ms, verdict.refused) if verdict.first_ms else found

    def ticket(
        self, head: "RequestHead", status: int, raw: bytes, *, key: bytes, node: "Node | None", refused: int
    ) -> bytes:
        """A ticket for a retry of this request, sent to its node as `raw`; empty where the answer calls for none.

        The retry passes by this node, where one was asked, and by those at the places of the key's order in `refused`.
        """
        if status not in STATUSES:
            return b""
        if node is not None:
            refused = self.fleet.noted(key, node, refused)
        ticket = self.tickets.give(head, told_ms(raw), self.unix_ms(), refused)
        self.counters.tickets["given"] += bool(ticket)
        return ticket

    def expect(self) -> bool:
        """Count in a connection that has a header or a handshake before it; False when there are too many."""
        if len(self.clients) + self.expected >= self.config.connections_max:
            self.counters.connections += 1
            self.counters.connections_refused += 1
            return False
        self.expected += 1
        return True

    def admit(self, client: Client) -> bool:
        """Count a new connection in; False when there are too many."""
        self.counters.connections += 1
        self.clients.add(client)
        if len(self.clients) > self.config.connections_max:
            self.counters.connections_refused += 1
            return False
        return True

    def left(self, client: Client) -> None:
        """A connection ended."""
        self.clients.discard(client)
        if not self.clients:
            self._emptied.set()

    def unix_us(self, ago_s: float) -> int:
        """The wall clock so many seconds ago, in microseconds."""
        return int((time.time() - ago_s) * 1e6)

    def unix_ms(self) -> int:
        """The wall clock in milliseconds."""
        return time.time_ns() // 1_000_000

    def new_id(self) -> bytes:
        """A request id: who we are since our start, at random, and a count."""
        return b"%b%016x" % (self._id_start, next(self._ids))

    def retry_after_s(self) -> int:
        """Seconds to wait before a retry, spread so that refused clients do not return together."""
        return random.randint(1, self.config.retry_after_s)

    def fleet_doubt(self, exchange: "Exchange") -> None:
        """The node of an exchange was silent too long."""
        if exchange.link is not None:
            self.fleet.doubt(exchange.link.node)

    async def watch(self) -> None:
        """Check all deadlines once a second, until cancelled."""
        before = self.loop.time()
        while True:
            await asyncio.sleep(CHECK_S)
            now = self.loop.time()
            for client in list(self.clients):
                client.check(now - before)
            self.pool.sweep(now)
            before = now

    def _end_idle(self, *, fresh: bool) -> None:
        for client in list(self.clients):
            if client.idle and (fresh or not client.fresh):
                client.transport.close()

    async def drain(self, deadline_s: float) -> int:
        """Let requests under way finish, no longer than the deadline; returns how many were cut.

        A connection accepted a moment ago may have its first request on the way, so it gets a moment more.
        """
        self.draining = True
        self._end_idle(fresh=False)
        self.loop.call_later(self.config.drain_fresh_ms / 1000, lambda: self._end_idle(fresh=True))
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
        self.pool.close()
        return cut


def head_check(body_bytes_max: int, private: PrivatePaths) -> Callable[["RequestHead"], None]:
    """What raises RequestError for a request of which no node is asked; a closure, being called for every request."""
    starts, hide = private.starts, private.hide

    def check(head: "RequestHead") -> None:
        if (head.length or 0) > body_bytes_max:
            raise RequestError("too-large", "")
        # An ordinary head has its path in its only spelling, so most need no second look.
        if (not head.plain or head.target.startswith(starts)) and hide(head.target):
            raise RequestError("no-such-page", "")

    return check
