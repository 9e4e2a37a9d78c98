"""deploy.checks.gathering: what programs say, what is said when they do not, and that it ends in time."""

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from deploy.checks import command, gathering
from deploy.checks.facts import Program
from deploy.checks.targets import Target, Where
from processors import inspect_command
from tests.ports import free_port

AHEAD_MS = 5_000


class Stand:
    """A program that tells of itself, on a port of its own; the test changes its answers."""

    def __init__(self, kind: str) -> None:
        self.kind, self.port = kind, free_port()
        self.status, self.ready, self.rows = 200, (200, "ready\n"), list[dict[str, Any]]()
        self.hangs, self.metrics = False, ""
        self.methods: set[str] = set()

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, request: web.Request) -> web.Response:
        """Answer as the program would."""
        self.methods.add(request.method)
        if self.hangs:
            await asyncio.Event().wait()
        if request.path == "/readyz":
            return web.Response(status=self.ready[0], text=self.ready[1])
        if request.path == "/nodes":
            return web.json_response(self.rows)
        if request.path == "/metrics":
            return web.Response(text=self.metrics)
        about = {"program": self.kind, "now_ms": int(time.time() * 1000) + AHEAD_MS, "code": {"lb": "1"}, "more": 1}
        return web.Response(status=self.status, body=json.dumps(about))


@pytest.fixture
async def stands() -> AsyncIterator[dict[str, Stand]]:
    """A balancer and a node that run."""
    made = {kind: Stand(kind) for kind in ("balancer", "node")}
    runners = []
    for stand in made.values():
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", stand.serve)
        runners.append(web.AppRunner(app, shutdown_timeout=0.1))
        await runners[-1].setup()
        await web.TCPSite(runners[-1], "127.0.0.1", stand.port).start()
    yield made
    for runner in runners:
        await runner.cleanup()


async def asked(*targets: Target, within_s: float = 60.0) -> dict[str, Program]:
    """What they say, by name."""
    deadline = asyncio.get_running_loop().time() + within_s
    return {one.name: one for one in await gathering.programs(Where(targets=targets), deadline)}


async def test_a_balancer_tells_of_its_nodes_and_they_are_asked(stands: dict[str, Stand]) -> None:
    """By GET only; clocks are compared with ours, within what an answer took."""
    address = stands["node"].url.removeprefix("http://")
    stands["balancer"].rows = [{"id": "a", "address": address, "state": "healthy", "weight": 1}]

    found = await asked(Target(stands["balancer"].url, "here"))

    assert set(found) == {"balancer here", "a"}
    assert (found["a"].kind, found["a"].ready, found["a"].error) == ("node", True, "")
    assert abs(found["a"].ahead_ms - AHEAD_MS) <= found["a"].unsure_ms + 1
    assert {method for stand in stands.values() for method in stand.methods} == {"GET"}


async def test_an_autoscaler_that_leads_tells_of_its_sweeper(stands: dict[str, Stand]) -> None:
    """A standby has no such metric, and a page may have anything in its place."""
    stand, found = stands["node"], []
    stand.kind = "autoscaler"
    for page in ("# HELP snapsurge_sweep_behind_seconds x\nsnapsurge_sweep_behind_seconds 2.5\n", "x 1\n",
                 "snapsurge_sweep_behind_seconds x\n"):  # fmt: skip
        stand.metrics = page
        found.append((await asked(Target(stand.url, "s", "autoscaler")))["s"])
    assert [(one.error, one.sweep_behind_s) for one in found] == [("", 2.5), ("", None), ("", None)]


async def test_an_answer_may_come_in_pieces() -> None:
    """As over any network but loopback: a page is longer than a segment; one without an end is given up."""
    about = json.dumps({"program": "node", "now_ms": 1, "settings": {"X": "x" * 5_000}}).encode()
    bodies = {"/aboutz": about, "/readyz": b"ready\n"}

    async def serve(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        body = bodies[request.path]
        for piece in (body[:1_000], body[1_000:]):
            await response.write(piece)
            for _ in range(50):
                await asyncio.sleep(0)  # so that the two are not read at once
        return response

    app, port = web.Application(), free_port()
    app.router.add_get("/{path:.*}", serve)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        target = Target(f"http://127.0.0.1:{port}", "a", "node")
        found = (await asked(target))["a"]
        assert (found.error, found.about and found.about.settings["X"]) == ("", "x" * 5_000)
        bodies["/readyz"] = b"x" * (gathering.ANSWER_BYTES_MAX + 1)
        assert "longer than" in (await asked(target))["a"].error
    finally:
        await runner.cleanup()


async def test_a_node_that_is_named_is_asked_once(stands: dict[str, Stand]) -> None:
    """As in a stack file: by the name there."""
    node = stands["node"]
    stands["balancer"].rows = [{"id": "x", "address": node.url.removeprefix("http://"), "state": "healthy"}]

    found = await asked(Target(stands["balancer"].url, "lb-1", "balancer"), Target(node.url, "a", "node"))

    assert set(found) == {"lb-1", "a"}


async def test_what_is_wrong_with_a_program_is_told(stands: dict[str, Stand]) -> None:
    """Not ready, an older version, nobody there, nobody answers."""
    balancer, node = stands["balancer"], stands["node"]
    balancer.ready, node.status = (503, "no nodes\n"), 404

    found = await asked(Target(balancer.url, "lb", "balancer"), Target(node.url, "a", "node"))
    assert (found["lb"].ready, found["lb"].unready) == (False, "not ready: 503 no nodes")
    assert found["a"].error == "/aboutz was answered 404: it runs an older version"

    node.hangs = True
    nobody = Target(f"http://127.0.0.1:{free_port()}", "gone", "node")
    found = await asked(nobody, Target(node.url, "a", "node"), within_s=5.0)
    assert "ClientConnectorError" in found["gone"].error
    assert found["a"].error == "no answer in time"


async def test_those_that_hang_leave_time_for_the_others(stands: dict[str, Stand]) -> None:
    """For the nodes that a balancer names beside them, and for whoever waits for a place."""
    address = stands["node"].url.removeprefix("http://")
    stands["balancer"].rows = [{"id": "a", "address": address, "state": "healthy"}]
    with socket.create_server(("127.0.0.1", 0)) as server:  # accepts nothing
        silent = f"http://127.0.0.1:{server.getsockname()[1]}"
        hung = [Target(silent, f"hung-{number}", "node") for number in range(gathering.AT_ONCE)]
        found = await asked(*hung, Target(stands["balancer"].url, "lb", "balancer"), within_s=12.0)

    assert {found[one.name].error for one in hung} == {"no answer in time"}
    assert (found["lb"].error, found["a"].error) == ("", "")


async def test_store_and_redis_are_looked_at_with_the_settings_given(tmp_path: Path) -> None:
    """The real command, on a folder and a Redis that does not run."""
    (tmp_path / "store").mkdir()
    settings = {"SNAPSURGE_STORE_URL": f"file://{tmp_path}/store"}
    settings["SNAPSURGE_REDIS_URL"] = f"redis://:secret@127.0.0.1:{free_port()}/0"

    found = await gathering.inspection(
        Where(targets=(), environment=settings), "eu-1", asyncio.get_running_loop().time() + 100
    )

    assert (found.error, found.store.raced) == ("", True)
    assert "refused" in found.redis[0].error
    assert found.errors["moment"] == "the store has none with this id"
    assert "secret" not in repr(found)


def test_a_store_that_hangs_leaves_time_to_tell_of_redis() -> None:
    """A part of `processors inspect` is given up long before the whole is: it needs seconds to begin and to end."""
    assert inspect_command.PART_S + 6.0 <= command.WITHIN_S - 2 * gathering.CLEAN_S - gathering.SPARE_S


async def test_what_cannot_be_looked_at_is_an_error_and_ends(tmp_path: Path) -> None:
    """A setting that is wrong, and no time."""
    loop = asyncio.get_running_loop()
    where = Where(targets=(), environment={"SNAPSURGE_STORE_URL": "ftp://x"})
    wrong = await gathering.inspection(where, "", loop.time() + 100)
    assert "`processors inspect` could not run: processors: SNAPSURGE_STORE_URL" in wrong.error

    where = Where(targets=(), environment={"SNAPSURGE_STORE_URL": f"file://{tmp_path}"})
    late = await gathering.inspection(where, "", loop.time() + 0.1)
    assert late.error == "store and Redis were not looked at in time"
