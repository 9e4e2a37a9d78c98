"""The page: its files, its policy, its stream of events, and readers that take nothing."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import aiohttp
import msgspec
import pytest

from deploy.watching.feed import Feed
from deploy.watching.prediction import Band, Prediction
from deploy.watching.serving import FILES, PAGES, READERS_MAX, Service, called_by, foretold, frame, served
from deploy.watching.view import Flow, View
from tests.ports import free_port


@asynccontextmanager
async def page(feed: Feed, service: Service) -> AsyncIterator[tuple[str, aiohttp.ClientSession]]:
    """The page's address, and a client."""
    async with served("127.0.0.1", free_port(), service, feed) as url, aiohttp.ClientSession() as session:
        yield url, session


async def event(answer: aiohttp.ClientResponse) -> bytes:
    """The next event of a stream."""
    return await answer.content.readuntil(b"\n\n")


async def test_the_page_may_load_only_what_is_served_here() -> None:
    """Every file has the policy; no file names an address elsewhere, nor has a script or style of its own in it."""
    feed = Feed()
    async with page(feed, Service(feed)) as (url, session):
        for path, (name, kind) in FILES.items():
            async with session.get(f"{url.rstrip('/')}{path}") as answer:
                body = await answer.text()
            assert answer.status == 200
            assert answer.content_type == kind
            policy = answer.headers["Content-Security-Policy"]
            assert policy.startswith("default-src 'none'; ")
            assert "unsafe" not in policy
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert "http" not in body.replace("http://www.w3.org/2000/svg", ""), name
        async with session.get(f"{url}../x"), session.get(f"{url}watch.html") as answer:
            assert answer.status == 404
    html = (PAGES / "watch.html").read_text()
    assert not re.search(r"<script(?! src=\"watch\.js\")|<style|\son\w+=|\sstyle=|javascript:", html)
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|eval\(|document\.write", (PAGES / "watch.js").read_text()
    )


async def test_a_reader_gets_the_prediction_once_and_then_each_view() -> None:
    """As server-sent events; a view is JSON on one line."""
    feed, prediction = Feed(), Prediction("2026-11-30T10:00:00Z", {"offered@3": Band(1, 2, 3)})
    feed.publish(frame(View(at=1.0, flow=Flow(offered=2.5))))
    async with page(feed, Service(feed, prediction)) as (url, session), session.get(f"{url}events") as answer:
        assert answer.content_type == "text/event-stream"
        assert await event(answer) == b"retry: 2000\n\n"
        assert await event(answer) == b'event: prediction\ndata: {"offered":[[3,1,2,3]],"accepted":[],"shed":[]}\n\n'
        first = await event(answer)
        feed.publish(frame(View(at=3.0)))
        second = await event(answer)
        feed.close()
        assert await answer.content.read() == b""  # the end is an end, not a broken connection
    views = [msgspec.json.decode(one.removeprefix(b"data: "), type=View) for one in (first, second)]
    assert [(one.at, one.flow.offered) for one in views] == [(1.0, 2.5), (3.0, None)]
    assert foretold(None) == b""


async def test_the_head_of_the_stream_ends() -> None:
    """Every GET has its HEAD, and this one must not wait for events."""
    feed = Feed()
    async with page(feed, Service(feed)) as (url, session), session.head(f"{url}events") as answer:
        assert answer.status == 200
        assert answer.content_type == "text/event-stream"


async def test_readers_have_a_number_and_give_their_places_back() -> None:
    """One more than there may be is told to come later."""
    feed, service = Feed(), None
    service = Service(feed)
    async with page(feed, service) as (url, session):
        answers = [await session.get(f"{url}events") for _ in range(READERS_MAX)]
        assert {answer.status for answer in answers} == {200}
        async with session.get(f"{url}events") as more:
            assert more.status == 503
            assert "close one" in await more.text()
        answers[0].close()
        async with asyncio.timeout(30):
            while service.readers == READERS_MAX:
                feed.publish(b"data: x\n\n")  # Who left is noticed at the next frame.
                await asyncio.sleep(0)
        async with session.get(f"{url}events") as again:
            assert again.status == 200
        for answer in answers:
            answer.close()


@pytest.mark.parametrize(
    ("host", "served_there"),
    [
        ("127.0.0.1:8099", True),
        ("10.9.8.7", True),
        ("[::1]:8099", True),
        ("LocalHost:8099", True),
        (socket.gethostname(), True),
        ("strangers.example:8099", False),
        ("127.0.0.1.strangers.example", False),
        ("localhost.strangers.example", False),
        ("[x", False),
        ("", False),
    ],
)
async def test_the_page_is_served_under_no_name_of_a_stranger(host: str, *, served_there: bool) -> None:
    """Whose page could read it if that name led here (DNS rebinding): neither the document nor the events."""
    feed = Feed()
    async with page(feed, Service(feed)) as (url, session):
        for path in ("", "events"):
            async with session.get(f"{url}{path}", headers={"Host": host}) as answer:
                assert (answer.status == 200) is served_there, answer.status
                if not served_there:
                    assert "open it by its address" in await answer.text()
        feed.close()


async def test_the_name_of_listen_is_a_name_of_the_page() -> None:
    """As an operator gave it."""
    feed = Feed()
    async with (
        served("localhost", free_port(), Service(feed), feed) as url,
        aiohttp.ClientSession() as session,
        session.get(url, headers={"Host": "localhost"}) as answer,
    ):
        assert answer.status == 200
    assert called_by("Ops.example:1", {"ops.example"})


async def test_a_page_that_takes_nothing_does_not_keep_the_end_waiting() -> None:
    """Ctrl-C ends it."""
    feed = Feed()
    service = Service(feed, stalled_s=3600)
    async with asyncio.timeout(30), page(feed, service) as (url, _):
        host = urlsplit(url)
        reader, writer = await asyncio.open_connection(host.hostname, host.port, limit=1)
        writer.write(b"GET /events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        await reader.read(1)
        writer.transport.pause_reading()  # type: ignore[attr-defined] # a transport that reads
        for _ in range(200):
            feed.publish(b"x" * 300_000)
            await asyncio.sleep(0)
    writer.close()


@pytest.mark.parametrize("frame_bytes", [1_000, 300_000])
async def test_a_reader_that_takes_nothing_does_not_make_us_grow(frame_bytes: int) -> None:
    """The server holds a frame or two for it, whatever comes; then it is disconnected."""
    feed, service, held = Feed(), Service(Feed()), 0
    service = Service(feed, stalled_s=0.5)
    async with page(feed, service) as (url, _):
        host = urlsplit(url)
        reader, writer = await asyncio.open_connection(host.hostname, host.port, limit=1)
        writer.write(b"GET /events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        await reader.read(1)  # It asks, and from now on its window is closed.
        writer.transport.pause_reading()  # type: ignore[attr-defined] # a transport that reads
        async with asyncio.timeout(60):
            while service.readers:
                feed.publish(b"x" * frame_bytes)
                held = max(held, *(one.get_write_buffer_size() for one in service.transports()), 0)
                await asyncio.sleep(0)
        writer.close()
    assert 0 < held <= 2 * frame_bytes + 128 * 1024
