"""lb.relay.connections: admission and draining."""

import asyncio

from tests.unit.lb.conftest import Stage

GET = b"GET /x HTTP/1.1\r\nHost: h\r\n\r\n"


async def test_connections_over_the_limit_are_refused(stage) -> None:  # noqa: ANN001 - the stage fixture
    """One too many hears 503 `overloaded`; one that leaves makes room."""
    stage.connections.clients.update(object() for _ in range(stage.config.connections_max - 1))
    first, _ = stage.client()
    _, refused = stage.client()
    assert b'"code":"overloaded"' in refused.take()
    assert stage.context.counters.connections_refused == 1
    first.connection_lost(None)
    assert first not in stage.connections.clients


async def test_draining_closes_the_idle_and_waits_for_the_rest() -> None:
    """Closed at once: idle connections; a moment later: new ones; at the deadline: those with a request, counted."""
    stage = Stage(drain_fresh_ms=0)
    idle, idle_transport = stage.client()
    idle.fresh = False
    new, new_transport = stage.client()
    busy, busy_transport = stage.client()
    busy.data_received(GET)
    drain = asyncio.gather(stage.connections.drain(30))
    await asyncio.sleep(0)
    assert (idle_transport.closed, new_transport.closed, busy_transport.closed) == (True, False, False)
    async with asyncio.timeout(30):
        while not new_transport.closed:  # noqa: ASYNC110 - the loop's timer is the event
            await asyncio.sleep(0)
    assert (new_transport.closed, busy_transport.closed) == (True, False)
    new.connection_lost(None)
    idle.connection_lost(None)
    busy.connection_lost(None)
    assert await drain == [0]
    stuck, stuck_transport = stage.client()
    stuck.data_received(GET)
    assert await stage.connections.drain(0) == 1
    assert stuck_transport.aborted
    stuck.connection_lost(None)
    stage.close()


async def test_a_connection_in_its_handshake_counts_against_the_limit(stage) -> None:  # noqa: ANN001
    """Accepted but not yet a client: refused before its handshake once the limit is reached."""
    stage.connections.clients.update(object() for _ in range(stage.config.connections_max - 1))

    assert stage.connections.expect()
    assert not stage.connections.expect()
    assert stage.connections.expected == 1
    assert stage.context.counters.connections_refused == 1
