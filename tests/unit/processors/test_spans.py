"""Spans of pairs: which pairs, and what a conformant receiver (opentelemetry-proto) gets."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from msgspec import structs

from processors.spans import NoTracing, is_chosen, sending
from storage.records import Photo, Photos, Post, Times, from_ms
from tests.ports import free_port

AT = 1_767_225_600_000
SHOT = Photo(sha256="0" * 64, bytes=1, width=1, height=1, format="jpeg")
TIMES = Times(
    head_ms=0, body_ms=400, committed_ms=420, queued_ms=421, claimed_ms=600, started_ms=601, rendered_ms=900,
    ready_ms=930, node="a", worker="w",
)  # fmt: skip
POST = Post(
    id="abcdefghijklmnopqrstuvwxyy-eu-20260101-aaaaaaaa",
    moment_id="eu-20260101-aaaaaaaa",
    user_id="ann",
    received_at=from_ms(AT),
    attempt="0" * 12 + "0" * 19 + "7",
    state="ready",
    late_by_ms=-5,
    photos=Photos(front=SHOT, back=SHOT),
    times=TIMES,
)
TRACE = "00-" + "ab" * 16 + "-" + "cd" * 8 + "-"


def timed(**changes: Any) -> Post:
    """The post with other times."""
    return structs.replace(POST, times=structs.replace(TIMES, **changes))


@pytest.mark.parametrize(
    ("post", "chosen"),
    [
        (POST, False),
        (structs.replace(POST, attempt="0" * 31 + "a"), True),
        (structs.replace(POST, state="rejected"), True),
        (timed(outages=1), True),
        (timed(ready_ms=60_000), False),
        (timed(ready_ms=60_001), True),
        (timed(trace=TRACE + "01"), True),
        (timed(trace=TRACE + "00"), False),
        (timed(rendered_ms=None), False),
    ],
)
def test_failed_slow_and_every_nth_pair_is_chosen(post: Post, chosen: bool) -> None:  # noqa: FBT001 - a column of the table
    """One in ten by its attempt; from both sides of slow; one that a trusted peer traces."""
    assert is_chosen(post, every=10, slow_ms=60_000) is chosen


def test_without_an_address_nothing_is_sent() -> None:
    """And no package is needed."""
    with sending("", every=1, slow_s=60) as send:
        send(POST)


def test_missing_packages_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the setting and the group that has them."""
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(NoTracing, match="group `otlp`"), sending("http://127.0.0.1:1", every=1, slow_s=60):
        pass


@asynccontextmanager
async def receiver() -> AsyncIterator[tuple[str, list[Any]]]:
    """An OTLP receiver: its address, and the spans that it got."""
    pytest.importorskip("opentelemetry.sdk", reason="the packages of the group otlp are not installed")
    proto: Any = pytest.importorskip("opentelemetry.proto.collector.trace.v1.trace_service_pb2")
    got: list[Any] = []

    async def traces(request: web.Request) -> web.Response:
        assert request.content_type == "application/x-protobuf"
        raw = await request.read()
        assert b"ann" not in raw
        for resource in proto.ExportTraceServiceRequest.FromString(raw).resource_spans:
            got.extend(span for scope in resource.scope_spans for span in scope.spans)
        answer = proto.ExportTraceServiceResponse().SerializeToString()
        return web.Response(body=answer, content_type="application/x-protobuf")

    app = web.Application()
    app.router.add_post("/v1/traces", traces)
    runner, port = web.AppRunner(app, access_log=None), free_port()
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        yield f"http://127.0.0.1:{port}/v1/traces", got
    finally:
        await runner.cleanup()


async def test_a_receiver_gets_a_span_for_each_step() -> None:
    """With the times of the record, under one trace whose id is the attempt's, or that of a trusted peer."""
    async with receiver() as (url, got):

        def play() -> None:
            with sending(url, every=1, slow_s=60) as send:
                send(POST)
                send(timed(trace=TRACE + "01", retry=True, head_ms=100))
                send(structs.replace(POST, state="rejected", reason="no photo"))

        await asyncio.to_thread(play)

    own = [span for span in got if span.trace_id.hex() == POST.attempt]
    traced = [span for span in got if span.trace_id.hex() == "ab" * 16]
    assert len(own) == 16
    assert len(traced) == 9
    (whole,) = [span for span in traced if span.name == "pair"]
    assert whole.parent_span_id.hex() == "cd" * 8
    assert (whole.start_time_unix_nano, whole.end_time_unix_nano) == (AT * 10**6, (AT + 930) * 10**6)
    inside = {span.name: span for span in traced if span.name != "pair"}
    assert {span.parent_span_id for span in inside.values()} == {whole.span_id}
    assert inside["retry"].end_time_unix_nano == inside["receive"].start_time_unix_nano == (AT + 100) * 10**6
    assert [span.status.message for span in own if span.status.code == 2] == ["no photo"]
