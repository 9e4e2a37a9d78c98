"""lb.ops.changes: the admin calls that change nodes."""

from collections.abc import AsyncIterator

import pytest
from aiohttp.test_utils import TestClient, TestServer

from lb.config import Config
from lb.membership.members import Membership
from lb.ops.admin import application
from lb.placement.node import Member


@pytest.fixture
async def admin(stage) -> AsyncIterator[TestClient]:  # noqa: ANN001 - the stage fixture
    """The admin port over nodes a and b."""
    members = [Member(id=name, address=f"127.0.0.1:{9000 + n}") for n, name in enumerate("ab")]
    membership = Membership(Config(), stage.fleet, members)
    async with TestClient(TestServer(application(stage.connections, membership))) as client:
        yield client


async def states(admin: TestClient) -> dict[str, tuple[str, int]]:
    """State and weight by id."""
    rows = await (await admin.get("/nodes")).json()
    return {row["id"]: (row["state"], row["weight"]) for row in rows}


async def test_nodes_are_added_drained_weighed_and_removed(admin: TestClient) -> None:
    """Each call answers with the node as it is now, and is in force."""
    new = {"id": "c", "address": "127.0.0.1:9003", "weight": 2}
    added = await (await admin.post("/nodes", json=new)).json()
    assert (added["id"], added["weight"], added["share"]) == ("c", 2, pytest.approx(0.5, abs=0.1))
    await admin.post("/nodes/a/drain")
    assert (await (await admin.post("/nodes/b/weight", json={"weight": 4})).json())["weight"] == 4
    assert await states(admin) == {"a": ("draining", 1), "b": ("healthy", 4), "c": ("healthy", 2)}
    await admin.post("/nodes/a/undrain")
    assert await (await admin.post("/nodes/c/remove")).json() == {"removed": "c"}
    assert await states(admin) == {"a": ("healthy", 1), "b": ("healthy", 4)}


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        ("/nodes", b"{", 400, "the body is invalid"),
        ("/nodes", b'{"id":"c"}', 400, "address"),
        ("/nodes", b'{"id":"c","address":"x"}', 400, "not host:port"),
        ("/nodes", b'{"id":"c/d","address":"h:1"}', 400, "no slash"),
        ("/nodes", b'{"id":"c","address":"h:1","weight":999}', 400, "weight 999"),
        ("/nodes", b'{"id":"c","address":"h:1","wieght":9}', 400, "wieght"),
        ("/nodes", b'{"id":"a","address":"h:1"}', 409, "is a member"),
        ("/nodes/x/drain", b"", 404, "no node x"),
        ("/nodes/a/undrain", b"", 409, "not drained"),
        ("/nodes/a/weight", b'{"weight":"heavy"}', 400, "the body is invalid"),
    ],
)
async def test_errors_say_what_is_wrong(admin: TestClient, path: str, body: bytes, status: int, words: str) -> None:
    """And nothing is changed."""
    before = await states(admin)
    answer = await admin.post(path, data=body)

    assert answer.status == status
    assert words in (await answer.json())["error"]
    assert await states(admin) == before


async def test_a_page_in_a_browser_changes_nothing(admin: TestClient) -> None:
    """A request with Origin is refused, so that no page can drain a node of whoever reads it."""
    answer = await admin.post("/nodes/a/drain", headers={"Origin": "http://evil.example"})

    assert answer.status == 403
    assert (await states(admin))["a"] == ("healthy", 1)
