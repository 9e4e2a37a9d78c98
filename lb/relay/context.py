"""What all requests of a process share: settings, fleet, pool, counters, tickets, the placement key, ids and clocks.

It knows neither client connections nor exchanges. `connections.py` owns the set of client connections; `server.py`
builds both.
"""

import asyncio
import itertools
import random
import time
from collections.abc import Callable

from ..config import Config
from ..holder_path import HolderPath
from ..http1.begun import beginning
from ..http1.errors import RequestError
from ..http1.forward import request_head
from ..http1.head import RequestHead
from ..http1.keys import keys
from ..http1.origin import Origin, origin
from ..http1.stamps import Stamper
from ..http1.tickets import STATUSES, Tickets, split_ticket
from ..networks import contains, networks
from ..placement.fleet import Fleet
from ..placement.holders import Holders
from ..placement.node import Node
from ..private_paths import PrivatePaths
from .access import RequestRecord
from .counters import Counters
from .lag import Lag
from .pool import Pool, PoolLimits, Spawn
from .ports import Downstream
from .tank import Tank


class Context:
    """One for each process; `spawn` starts a task in the server's TaskGroup."""

    def __init__(self, config: Config, fleet: Fleet, *, hash_on: str, hash_reads_on: str = "", spawn: Spawn) -> None:
        self.config = config
        self.fleet = fleet
        self.loop = asyncio.get_running_loop()
        self.clock = self.loop.time
        self.lag = Lag(self.clock)
        self.counters = Counters()
        self.tank = Tank()
        self.tickets = Tickets(config.ticket_secrets)
        self._stamper = Stamper(config.stamp_secrets)
        self.check_head = head_check(config, PrivatePaths(config.private_paths))
        self.keys = keys(hash_on, hash_reads_on, cache_max=config.tokens_max)
        path = HolderPath(config.holder_path)
        self.holders, self.holder_starts = Holders(path, fleet), path.starts
        self.draining = False
        self.proto = b"http"  # What clients speak to this process: http or https.
        self.certificate_begins_s: Callable[[], float] | None = None  # Unix time; None without TLS.
        self.certificate_ends_s: Callable[[], float] | None = None
        self.note: Callable[[RequestRecord], None] | None = None  # Writes access log and trace; None when both are off.
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
        self._trusted = networks(config.trusted_peers)
        self._id_start = b"%016x" % random.getrandbits(64)
        self._ids = itertools.count()

    def trusts(self, address: str) -> bool:
        """Whether `SNAPSURGE_LB_TRUSTED_PEERS` contains this address: then its forwarding fields are believed."""
        return bool(self._trusted) and contains(self._trusted, address)

    def origin(self, head: RequestHead, client: Downstream) -> Origin:
        """The origin of a request with forwarding fields or a ticket.

        Forwarding fields count from a trusted peer only, a ticket only when its signature is good.
        """
        balancer_fields, ticket = split_ticket(head.balancer_fields)
        found = client.origin
        if client.trusted:
            found = origin(balancer_fields, client.address, self.proto, self._trusted)
        if ticket is None:
            return found
        now_ms = self.lag.arrived_ms(client.transport, self.clock())
        verdict = self.tickets.read(head, ticket, now_ms)
        self.counters.tickets[verdict.outcome] += 1
        return found.retried(verdict.first_ms, now_ms, verdict.refused) if verdict.first_ms else found

    def request_head(self, head: RequestHead, origin: Origin, received_ms: int, request_id: bytes) -> bytes:
        """The head for a node, stamped."""
        return request_head(head, origin, received_ms, request_id, self._stamper.line(origin, received_ms, request_id))

    def ticket(
        self,
        head: RequestHead,
        status: int,
        received_ms: int,
        begun: bytes = b"",
        *,
        key: bytes,
        node: Node | None,
        refused: int,
    ) -> bytes:
        """A ticket for the retry of a request received at `received_ms`; empty when the status calls for none.

        `begun`: what the node says of the request that this one continues; then the ticket is for a retry of that one.
        The retry avoids `node`, where one was asked, and the nodes at the positions of the key's order in `refused`.
        """
        if status not in STATUSES:
            return b""
        if begun and (began := beginning(begun, head)):
            head, received_ms = began
        if node is not None:
            refused = self.fleet.noted(key, node, refused)
        ticket = self.tickets.give(head, received_ms, self.unix_ms(), refused)
        self.counters.tickets["given"] += bool(ticket)
        return ticket

    def early_ticket(self, head: RequestHead, received_ms: int, refused: int) -> bytes:
        """A ticket for a request in progress, whose retry may go to the same node; empty without a digest to bind."""
        ticket = self.tickets.give(head, received_ms, self.unix_ms(), refused, early=True)
        self.counters.tickets["early"] += bool(ticket)
        return ticket

    def may_try(self, tried: int) -> bool:
        """Whether another node may be asked: the first always, more within the limits for one request and for all."""
        return not tried or (tried <= self.config.retries_max and self.fleet.may_retry())

    def unix_us(self, ago_s: float) -> int:
        """The wall clock `ago_s` seconds ago, in microseconds."""
        return int((time.time() - ago_s) * 1e6)

    def unix_ms(self) -> int:
        """The wall clock in milliseconds."""
        return time.time_ns() // 1_000_000

    def new_id(self) -> bytes:
        """A request id: 64 random bits of this process, then a counter."""
        return b"%b%016x" % (self._id_start, next(self._ids))

    def retry_after_s(self) -> int:
        """A random `Retry-After` in seconds, so that refused clients do not return together."""
        return random.randint(1, self.config.retry_after_s)


def head_check(config: Config, private: PrivatePaths) -> Callable[[RequestHead], None]:
    """A function that raises RequestError for a request that no node may get."""
    # A closure: it runs for every request, and local names are cheaper than attributes.
    starts, hide = private.starts, private.hide
    body_bytes_max, target_bytes_max = config.body_bytes_max, config.target_bytes_max

    def check(head: RequestHead) -> None:
        if (head.length or 0) > body_bytes_max:
            raise RequestError("too-large", "")
        if len(head.target) > target_bytes_max:
            raise RequestError("uri-too-long", f"The target has more than {target_bytes_max} bytes.")
        # The path of an ordinary head has one spelling only, so a prefix test is enough for most requests.
        if (not head.ordinary or head.target.startswith(starts)) and hide(head.target):
            raise RequestError("no-such-page", "")

    return check
