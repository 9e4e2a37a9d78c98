"""A stage for the balancer's protocols: fake transports, nodes that connect when the test lets them, a fake clock."""

import asyncio
import socket
from collections.abc import Coroutine, Iterable, Iterator

import pytest

from lb.config import Config
from lb.placement.fleet import Fleet
from lb.placement.health import Thresholds
from lb.placement.node import Member, Node
from lb.placement.parameters import Placement
from lb.placement.policy import Bound
from lb.relay.client import Client
from lb.relay.connections import Connections
from lb.relay.context import Context
from lb.relay.link import Link
from lb.relay.records import Records


class FakeTransport:
    """Records all calls; its socket is real, so that socket options and ioctl calls work."""

    def __init__(self) -> None:
        self.written = b""
        self.unsent = 0
        self.reading = True
        self.closed = self.aborted = self.ended = False
        self.near, self.far = socket.socketpair()
        self.records: Records | None = None  # How the client's TLS records end; None without TLS.
        self.near.setblocking(False)

    def get_extra_info(self, name: str, default: object = None) -> object:
        """Return the peer's address, the socket or the records."""
        return {"peername": ("10.0.0.9", 1234), "socket": self.near, "records": self.records}.get(name, default)

    def set_write_buffer_limits(self, high: int, low: int) -> None:
        """Record the limits."""
        self.limits = (high, low)

    def write(self, data: bytes) -> None:
        """Record the bytes, unless closed."""
        if not self.closed:
            self.written += data

    def writelines(self, parts: Iterable[bytes]) -> None:
        """Record the bytes, unless closed."""
        self.write(b"".join(parts))

    def get_write_buffer_size(self) -> int:
        """Return the size that the test has set."""
        return self.unsent

    def write_eof(self) -> None:
        """Record the half-close."""
        self.ended = True

    def pause_reading(self) -> None:
        """Record that reading is paused."""
        self.reading = False

    def resume_reading(self) -> None:
        """Record that reading goes on."""
        self.reading = True

    def close(self) -> None:
        """Record the close."""
        self.closed = True

    def abort(self) -> None:
        """Record the abort."""
        self.closed = self.aborted = True

    def is_closing(self) -> bool:
        """Whether the transport was closed or aborted."""
        return self.closed

    def take(self) -> bytes:
        """Return the bytes written since the last call."""
        written, self.written = self.written, b""
        return written


class Stage:
    """A balancer over nodes `a` and `b`; the test makes or fails the connections to them."""

    def __init__(self, **settings: int) -> None:
        self.config = Config(ticket_secret="a-secret-of-this-stage", **settings)
        placement = Placement(
            policy="ring", seed=b"s", slots=1024, bound=Bound(125, 16 * 16384), thresholds=Thresholds(), checked=False
        )
        self.fleet = Fleet(placement)
        self.fleet.set_members([Member(id=name, address=f"127.0.0.1:{9000 + n}") for n, name in enumerate("ab")], 0.0)
        self.asked: list[Coroutine[object, object, None]] = []
        self.context = Context(self.config, self.fleet, hash_on="uri", spawn=self.asked.append)
        self.connections = Connections(self.context)
        self.transports: list[FakeTransport] = []

    def transport(self) -> FakeTransport:
        """A fake transport, which is closed with the stage."""
        self.transports.append(FakeTransport())
        return self.transports[-1]

    def client(self) -> tuple[Client, FakeTransport]:
        """A client that has just connected."""
        client, transport = self.connections.accept(), self.transport()
        client.connection_made(transport)
        return client, transport

    def node_of(self, client: Client) -> Node | None:
        """The node that the client's exchange chose; only `node_of` and `link_of` read its private fields."""
        return client.exchange._node

    def link_of(self, client: Client) -> Link | None:
        """The connection that the client's exchange uses; None while the exchange has none."""
        return client.exchange._link

    def link(self, client: Client) -> tuple[Link, FakeTransport]:
        """Make the connection to a node that the client's exchange has requested."""
        link, transport = Link(self.node_of(client), head_bytes_max=65536, write_bytes_max=65536), self.transport()
        link.connection_made(transport)
        client.exchange.link_made(link)
        return link, transport

    def refuse(self, client: Client, *, timed_out: bool = False) -> Node:
        """Report that the requested connection to a node failed; returns that node."""
        node = self.node_of(client)
        client.exchange.link_failed(node, timed_out=timed_out)
        return node

    def close(self) -> None:
        """Close everything that is open."""
        for job in self.asked:
            job.close()
        for transport in self.transports:
            transport.near.close()
            transport.far.close()


@pytest.fixture
async def stage() -> Iterator[Stage]:
    """A stage with the default settings."""
    made = Stage()
    yield made
    made.close()
    await asyncio.sleep(0)
