"""What every answer has in common: request ids, problems for whatever is raised, the drain."""

import logging
from typing import Any

import pytest
from aiohttp import web
from aiohttp.http_exceptions import LineTooLong
from aiohttp.test_utils import make_mocked_request

from ingest.admission import Admission, Budget
from ingest.answering import Lifecycle, answering, without_bytes
from ingest.commits import Commits
from ingest.errors import Refusal
from ingest.metrics import Metrics
from ingest.peers import Peers, networks
from ingest.read_admission import Reading, ReadLimits
from ingest.readiness import Readiness
from ingest.sending import Sender
from storage.blobs import StoreFull, StoreUnavailable


async def answer_to(
    error: Exception | None,
    lifecycle: Lifecycle | None = None,
    times: int = 1,
    name: str = "call",
    metrics: Metrics | None = None,
) -> Any:
    """The answer, the last of so many, when the handler of the route with this name raises this."""

    async def handler(_request: web.Request) -> web.Response:
        if error is not None:
            raise error
        return web.Response(text="fine")

    metrics = metrics or Metrics(Admission(Budget(requests_max=1, bytes_max=1), Commits()))
    sender = Sender(Reading(ReadLimits(reads_max=1, bytes_max=1)), metrics, rate_bytes_s=1, grace_s=1.0)
    middleware = answering(lifecycle or Lifecycle(), metrics, Peers(networks("127.0.0.0/8")), sender)
    app = web.Application()
    app.router.add_get("/", handler, name=name)
    answer: Any = None
    for _ in range(times):
        request = make_mocked_request("GET", "/", app=app)
        # aiohttp has no public way to give a mocked request its route.
        request._match_info = await app.router.resolve(request)
        answer = await middleware(request, handler)
    return answer


async def test_requests_that_a_full_node_turns_away_are_one_line_a_burst(caplog: pytest.LogCaptureFixture) -> None:
    """Each is answered; a failure of the store is still logged for each, with its request id."""
    assert (await answer_to(Refusal("overloaded", "come back"), times=50)).status == 503
    assert 0 < len(caplog.records) < 50
    caplog.clear()
    await answer_to(StoreUnavailable("gone"), times=3)
    assert len(caplog.records) == 3


async def test_refused_uploads_are_not_timed_with_the_others() -> None:
    """A refusal takes a millisecond; in a burst most uploads may be refused."""
    metrics = Metrics(Admission(Budget(requests_max=1, bytes_max=1), Commits()))
    await answer_to(Refusal("overloaded", "come back"), times=3, name="upload", metrics=metrics)
    count = metrics.registry.get_sample_value
    assert count("snapsurge_ingest_request_seconds_count", {"route": "upload"}) == 0
    assert count("snapsurge_ingest_request_seconds_count", {"route": "upload_refused"}) == 3
    assert count("snapsurge_ingest_requests_total", {"route": "upload", "status": "503"}) == 3


async def test_every_error_becomes_a_problem() -> None:
    """The store's, aiohttp's and those nobody thought of."""
    cases = [
        (StoreFull("no space"), 507, b"storage-full"),
        (StoreUnavailable("gone"), 503, b"storage-unavailable"),
        (web.HTTPNotFound(), 404, b"no-such-page"),
        (web.HTTPMethodNotAllowed("PUT", ["GET"]), 405, b"method-not-allowed"),
        (web.HTTPRequestEntityTooLarge(1, 2), 400, b"bad-request"),
        (ZeroDivisionError("a secret"), 500, b"internal"),
    ]
    for error, status, code in cases:
        answer = await answer_to(error)
        assert (answer.status, answer.content_type) == (status, "application/problem+json")
        assert code in answer.body
        assert b"a secret" not in answer.body
        assert answer.headers["X-Request-Id"].encode() in answer.body
    for error in (StoreUnavailable("gone"), StoreFull("no space")):
        assert int((await answer_to(error)).headers["Retry-After"]) >= 1


async def test_a_draining_node_closes_connections_after_their_answer() -> None:
    """The next request goes elsewhere."""
    lifecycle = Lifecycle()
    assert (await answer_to(None, lifecycle)).keep_alive is not False
    lifecycle.draining = True
    assert (await answer_to(None, lifecycle)).keep_alive is False


async def test_a_503_names_its_cause_unless_that_is_overload() -> None:
    """A full node is not a sick one; what a sick one refuses is laid to what it is sick of."""
    sick = Lifecycle(readiness=Readiness(-1e9, room_bytes=0))
    full, away = Refusal("overloaded", "come back later"), StoreUnavailable("gone")

    assert "Snapsurge-Cause" not in (await answer_to(full)).headers
    assert (await answer_to(away)).headers["Snapsurge-Cause"] == "store"
    assert (await answer_to(full, sick)).headers["Snapsurge-Cause"] == "store"
    assert "Snapsurge-Cause" not in (await answer_to(StoreFull("no space"), sick)).headers


def test_a_bad_head_is_the_clients_fault_and_its_bytes_are_not_logged() -> None:
    """aiohttp logs it as an error, with the head."""
    error = LineTooLong(b"GET /?token=secret", "2048")
    cause = (type(error), error, None)
    record = logging.LogRecord("aiohttp.server", logging.ERROR, "", 1, "Error handling request", (), cause)

    assert without_bytes(record)
    assert (record.levelname, record.exc_info) == ("INFO", None)
    assert record.getMessage() == "Error handling request: LineTooLong"
