"""Connections to nodes: hands out the most recently used idle link or makes a new one.

A node that cannot be reached is reported to the fleet. Idle links are closed before the node would close them (most
servers do so after 75 s), and each is polled before reuse, so that a link that the node has closed costs no request.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Protocol

import msgspec

from ..placement.fleet import Fleet
from ..placement.health import Event
from ..placement.node import Node
from .link import Link
from .tcp import notice_vanished

Spawn = Callable[[Coroutine[object, object, None]], object]


class Waiter(Protocol):
    """An exchange that asked for a new link."""

    def link_made(self, link: Link) -> None:
        """The connection is made."""

    def link_failed(self, node: Node, *, timed_out: bool) -> None:
        """The connection could not be made; nothing was sent."""


class PoolLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Idle seconds, idle links per node, seconds to connect, answer head bytes, write buffer bytes."""

    idle_s: int
    idle_max: int
    connect_s: float
    head_bytes_max: int
    write_bytes_max: int


class Pool:
    """The links of all nodes; `spawn` starts a task in the server's TaskGroup."""

    def __init__(self, fleet: Fleet, limits: PoolLimits, spawn: Spawn) -> None:
        self._fleet = fleet
        self._limits = limits
        self._spawn = spawn
        self._idle: dict[Node, list[Link]] = {}
        self._loop = asyncio.get_running_loop()

    def take(self, node: Node) -> Link | None:
        """The idle link that was used last and is still open; None when there is none."""
        idle = self._idle.get(node)
        while idle:
            # Last in, first out: few links stay in use, and the others time out.
            link = idle.pop()
            if not link.stale():
                return link
            if link.alive:
                link.close()
        return None

    def put(self, link: Link) -> None:
        """Keep a link whose answer is complete, or close it when it cannot serve again."""
        idle = self._idle.get(link.node)
        if idle is None:
            idle = self._idle[link.node] = []
        # A link with unsent bytes (not `taking`) would send them before the next request.
        if not link.alive or not link.reusable or not link.taking or len(idle) >= self._limits.idle_max:
            link.close()
            return
        if link.paused:
            link.resume_answer()
        link.idle_since = self._loop.time()
        idle.append(link)

    def connect(self, node: Node, waiter: Waiter) -> None:
        """Make a new link and tell the waiter."""
        self._spawn(self._connect(node, waiter))

    async def _connect(self, node: Node, waiter: Waiter) -> None:
        loop, limits = asyncio.get_running_loop(), self._limits
        node.connects += 1

        def new() -> Link:
            return Link(node, head_bytes_max=limits.head_bytes_max, write_bytes_max=limits.write_bytes_max)

        try:
            async with asyncio.timeout(limits.connect_s):
                transport, link = await loop.create_connection(new, node.host, node.port)
        except TimeoutError:
            self._failed(node, Event.TIMED_OUT, "connect timed out", waiter)
        except OSError as error:
            self._failed(node, Event.REFUSED, error.strerror or str(error), waiter)
        else:
            notice_vanished(transport)
            waiter.link_made(link)

    def _failed(self, node: Node, event: Event, reason: str, waiter: Waiter) -> None:
        node.connect_errors += 1
        self._fleet.note(node, event, asyncio.get_running_loop().time(), reason)
        waiter.link_failed(node, timed_out=event is Event.TIMED_OUT)

    def sweep(self, now: float) -> None:
        """Close links that were idle too long, and links of nodes that have left."""
        oldest = now - self._limits.idle_s
        members = set(self._fleet.nodes.values())
        for node, idle in list(self._idle.items()):
            kept = [link for link in idle if link.alive and link.idle_since > oldest and node in members]
            for link in set(idle).difference(kept):
                if link.alive:
                    link.close()
            idle[:] = kept
            if not kept and node not in members:
                del self._idle[node]

    def close(self) -> None:
        """Close every idle link."""
        for idle in self._idle.values():
            for link in idle:
                if link.alive:
                    link.close()
        self._idle.clear()

    def idle(self, node: Node) -> int:
        """The number of idle links of the node."""
        return len(self._idle.get(node, ()))
