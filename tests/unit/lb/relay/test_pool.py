"""lb.relay.pool: which link serves, and what is learnt when none can be made."""

import asyncio
import socket

from lb.placement.health import State
from lb.placement.node import Member, Node
from lb.relay.link import Link


class Waiter:
    """Remembers what it was given."""

    def __init__(self) -> None:
        self.link: Link | None = None
        self.failed: list[tuple[Node, bool]] = []

    def link_made(self, link: Link) -> None:
        """Kept."""
        self.link = link

    def link_failed(self, node: Node, *, timed_out: bool) -> None:
        """Kept."""
        self.failed.append((node, timed_out))


def reusable(stage, node: Node) -> Link:  # noqa: ANN001 - the stage fixture
    """A link whose answer is complete."""
    link = Link(node, head_bytes_max=1000, write_bytes_max=4096)
    link.connection_made(stage.transport())
    link.reusable = True
    return link


async def test_the_last_used_link_serves_first(stage) -> None:  # noqa: ANN001
    """Last in, first out; a link that the node closed is passed over."""
    pool, node = stage.context.pool, stage.fleet.nodes["a"]
    first, second, third = (reusable(stage, node) for _ in range(3))
    for link in (first, second, third):
        pool.put(link)
    third.transport.far.close()

    assert pool.idle(node) == 3
    assert (pool.take(node), pool.take(node), pool.take(node)) == (second, first, None)
    assert third.transport.aborted


async def test_only_links_that_can_serve_again_are_kept(stage) -> None:  # noqa: ANN001
    """Spent links are closed, and those with unsent bytes; a paused one reads again."""
    pool, node = stage.context.pool, stage.fleet.nodes["a"]
    spent, full, paused = (reusable(stage, node) for _ in range(3))
    spent.reusable = False
    full.pause_writing()
    paused.pause_answer()
    for link in (spent, full, paused):
        pool.put(link)

    assert spent.transport.aborted
    assert full.transport.aborted
    assert paused.transport.reading
    assert pool.idle(node) == 1


async def test_idle_links_age_and_leave_with_their_node(stage) -> None:  # noqa: ANN001
    """The sweep closes what idled too long and what belongs to nobody."""
    pool, now = stage.context.pool, asyncio.get_running_loop().time()
    a, b = (reusable(stage, stage.fleet.nodes[name]) for name in "ab")
    pool.put(a)
    pool.put(b)
    pool.sweep(now + 1)
    assert not a.transport.closed
    stage.fleet.set_members([Member(id="b", address="127.0.0.1:9001")], now)
    pool.sweep(now + 1)
    assert (a.transport.closed, b.transport.closed) == (True, False)
    pool.sweep(now + 1000)
    assert b.transport.closed


async def test_closing_closes_all(stage) -> None:  # noqa: ANN001
    """Nothing stays open."""
    link = reusable(stage, stage.fleet.nodes["a"])
    stage.context.pool.put(link)
    stage.context.pool.close()

    assert link.transport.closed


async def test_a_refused_connection_is_told_and_kills_the_node(stage) -> None:  # noqa: ANN001
    """Nobody listens: the waiter moves on and the node is dead at once."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        stage.fleet.set_members([Member(id="a", address=f"127.0.0.1:{taken.getsockname()[1]}")], 0.0)
        node, waiter = stage.fleet.nodes["a"], Waiter()
        stage.context.pool.connect(node, waiter)
        await stage.asked.pop()

    assert waiter.failed == [(node, False)]
    assert (node.health.state, node.connect_errors) == (State.DEAD, 1)


async def test_a_connection_is_handed_over(stage) -> None:  # noqa: ANN001
    """Somebody listens: the waiter gets a living link."""
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    stage.fleet.set_members([Member(id="a", address=f"127.0.0.1:{port}")], 0.0)
    waiter = Waiter()
    stage.context.pool.connect(stage.fleet.nodes["a"], waiter)
    await stage.asked.pop()
    assert waiter.link
    assert waiter.link.alive
    waiter.link.close()
    server.close()
    await server.wait_closed()
