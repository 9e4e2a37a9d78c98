"""lb.ops.admin: the admin port."""

from aiohttp.test_utils import TestClient, TestServer

from lb.ops.admin import application
from lb.placement.health import Event


async def test_the_admin_port_tells_the_state(stage) -> None:  # noqa: ANN001 - the stage fixture
    """Alive always, ready with a node and not draining, nodes as JSON, metrics as text."""
    async with TestClient(TestServer(application(stage.connections))) as client:
        assert (await client.get("/livez")).status == 200
        assert (await client.get("/readyz")).status == 200
        rows = await (await client.get("/nodes")).json()
        assert [(row["id"], row["address"], row["state"]) for row in rows] == [
            ("a", "127.0.0.1:9000", "healthy"),
            ("b", "127.0.0.1:9001", "healthy"),
        ]
        assert {"reason", "in_flight", "bytes_in_flight", "share", "ejections"} <= set(rows[0])
        assert "snapsurge_lb_requests_total" in await (await client.get("/metrics")).text()
        for path in ("/livez", "/readyz", "/nodes", "/metrics"):
            head = await client.head(path)
            assert (head.status, await head.read()) == (200, b"")
            assert int(head.headers["Content-Length"]) > 0
        for node in stage.fleet.nodes.values():
            stage.fleet.note(node, Event.REFUSED, 0.0)
        assert await (await client.get("/readyz")).text() == "no nodes\n"
        stage.context.draining = True
        assert await (await client.get("/readyz")).text() == "draining\n"
        assert (await client.get("/livez")).status == 200
