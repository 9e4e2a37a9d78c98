"""Reading targets over real HTTP: answers, silence, and what is no page of metrics."""

import asyncio
import io
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from aiohttp import web

from deploy.watching.scraping import CONNECTIONS_MAX, PAGE_BYTES_MAX, Scraper, opened
from deploy.watching.targets import Target, TargetsUnknown
from tests.ports import free_port
from tests.unit.deploy.watching.pages import node, scaler

PATIENCE_S = 60.0  # A busy machine is not what these tests are about.
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serving(**handlers: Handler) -> AsyncIterator[str]:
    """A server with these paths; yields its address."""
    app, port = web.Application(), free_port()
    app.add_routes([web.get(f"/{path.replace('_', '/')}", handler) for path, handler in handlers.items()])
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        yield f"http://127.0.0.1:{port}"
    finally:
        await runner.cleanup()


def text(body: str | bytes) -> Handler:
    """Answers with this."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=io.BytesIO(body if isinstance(body, bytes) else body.encode()))

    return answer


async def test_all_targets_are_read_and_failures_have_reasons(tmp_path: Path) -> None:
    """The page, its time; a closed port, an error, a redirect, nonsense."""

    async def broken(_: web.Request) -> web.Response:
        return web.Response(status=503)

    async def elsewhere(_: web.Request) -> web.Response:
        raise web.HTTPFound("/metrics")

    closed = free_port()
    pages = {
        "metrics": text(node(accepted=3)),
        "broken": broken,
        "elsewhere": elsewhere,
        "nonsense": text("snapsurge_workers x"),
    }
    async with serving(**pages, binary=text(b"\xff\xfe")) as door, opened(PATIENCE_S) as session:
        names = ("metrics", "broken", "elsewhere", "nonsense", "binary")
        listed = [{"tier": "node", "name": name, "url": f"{door}/{name}"} for name in names]
        listed.append({"tier": "node", "name": "closed", "url": f"http://127.0.0.1:{closed}/metrics"})
        (file := tmp_path / "stack.json").write_bytes(msgspec.json.encode({"metrics": listed}))
        found = await Scraper(session, stack=file, clock=lambda: 2_000.0).round()

    assert {target.name: reading.at for target, reading in found.readings.items()} == {"metrics": 2_000.0}
    assert {target.name: why for target, why in found.failures.items()} == {
        "broken": "it answered 503",
        "elsewhere": "it answered 302",
        "nonsense": "not a line of Prometheus' text format: 'snapsurge_workers x'",
        "binary": "its page is not UTF-8",
        "closed": "no connection: Connection refused",
    }


async def test_a_page_has_an_end() -> None:
    """From both sides; a target cannot fill our memory."""
    line = "# " + "x" * 1021 + "\n"
    fits = line * (PAGE_BYTES_MAX // len(line))
    async with serving(fits=text(fits), longer=text(fits + "\n" * 1024)) as door, opened(PATIENCE_S) as session:
        found = await Scraper(session, urls=[f"{door}/fits", f"{door}/longer"]).round()
    assert [target.url for target in found.readings] == [f"{door}/fits"]
    assert list(found.failures.values()) == [f"its answer is longer than {PAGE_BYTES_MAX} bytes"]


async def test_discovery_is_asked_again_and_its_last_answer_counts() -> None:
    """New programs appear; when the autoscaler is away, those that were known are read."""
    answers = [b'[{"targets":["127.0.0.1:1"],"labels":{"tier":"node","node":"a"}}]', b"[]", None]

    async def discover(_: web.Request) -> web.Response:
        body = answers.pop(0)
        return web.Response(status=500) if body is None else web.Response(body=body)

    async with serving(v1_targets=discover) as door, opened(PATIENCE_S) as session:
        scraper = Scraper(session, urls=[f"{door}/v1/targets"])
        first, second, third = [await scraper.round() for _ in range(3)]
    assert [target.name for target in first.failures] == ["a"]
    assert (second.readings, second.failures) == ({}, {})
    assert list(third.failures.items()) == [(Target(f"{door}/v1/targets"), "it answered 500")]


async def test_without_any_list_of_targets_nothing_can_be_read(tmp_path: Path) -> None:
    """At the beginning; the text names the address or the file."""
    async with opened(PATIENCE_S) as session:
        with pytest.raises(TargetsUnknown, match=r"/v1/targets: no connection"):
            await Scraper(session, urls=[f"http://127.0.0.1:{free_port()}/v1/targets"]).round()
        with pytest.raises(TargetsUnknown, match=r"stack\.json cannot be read"):
            await Scraper(session, stack=tmp_path / "stack.json").round()
        with pytest.raises(TargetsUnknown, match="not an address"):
            Scraper(session, urls=["ftp://x"])


async def test_a_plain_address_needs_no_name() -> None:
    """Its tier follows from its page."""
    async with serving(metrics=text(scaler())) as door, opened(PATIENCE_S) as session:
        found = await Scraper(session, urls=[door]).round()
    assert [(target.label, target.tier) for target in found.readings] == [(door.removeprefix("http://"), "")]


async def test_many_that_hang_do_not_make_the_others_silent() -> None:
    """A rack whose network is gone: who waits for a connection has all of its time when it gets one."""

    async def slow(_: web.Request) -> web.Response:
        waited = asyncio.get_running_loop().create_future()  # what is left of a time that has run for all is less
        asyncio.get_running_loop().call_later(0.5, waited.set_result, None)
        await waited
        return web.Response(text=node())

    with socket.create_server(("127.0.0.1", 0), backlog=2 * CONNECTIONS_MAX) as server:  # accepts nothing
        hung = [f"http://127.0.0.1:{server.getsockname()[1]}/{number}" for number in range(CONNECTIONS_MAX)]
        async with serving(metrics=slow) as door, opened(3.0) as session:
            found = await Scraper(session, urls=[*hung, f"{door}/metrics"]).round()
    assert [target.url for target in found.readings] == [f"{door}/metrics"]
    assert set(found.failures.values()) == {"no answer in time"}


async def test_a_target_that_hangs_is_given_up() -> None:
    """The others are read."""
    release = asyncio.Event()

    async def hang(_: web.Request) -> web.Response:
        await release.wait()
        return web.Response()

    async with serving(hang=hang, metrics=text(node())) as door:
        async with opened(0.01) as session:
            assert list((await Scraper(session, urls=[f"{door}/hang"]).round()).failures.values()) == [
                "no answer in time"
            ]
        async with opened(PATIENCE_S) as session:
            assert len((await Scraper(session, urls=[f"{door}/metrics"]).round()).readings) == 1
        release.set()
