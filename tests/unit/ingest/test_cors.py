"""Which web pages may call: the fields of answers, preflight, and OPTIONS in general."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from ingest.cors import Cors, options, origins

APP, OTHER = "https://app.example", "https://evil.example"
CORS = Cors(origins(f"{APP}, http://127.0.0.1:3000"))
ASKED = {"Origin": APP, "Access-Control-Request-Method": "POST"}


@pytest.mark.parametrize(
    "bad",
    ["*", "null", "app.example", "https://app.example/", "https://App.example", "https://*.example", "https://a:443",
     "http://a:80", "https://u@a", "https://a?b", "https://", "https://a b", "https://a\nb", "file://"],
)  # fmt: skip
def test_what_no_browser_sends_is_no_origin(bad: str) -> None:
    """Each is named one by one, as browsers write it; the error shows which one is wrong."""
    with pytest.raises(ValueError, match=r"origin|leave out"):
        origins(f"{APP},{bad}")


def test_origins_are_read() -> None:
    """With ports, addresses, and the schemes of apps in a web view."""
    text = "https://app.example , http://a:443,https://a:8443,http://[::1]:3000,capacitor://localhost,"
    assert len(origins(text)) == 5
    assert origins("") == frozenset()


def test_a_named_origin_may_read_the_answer() -> None:
    """That one, by name, without cookies; with the fields that a retry and a cache of its own need."""
    fields = CORS.fields(APP, public=False)

    assert (fields["Access-Control-Allow-Origin"], fields["Vary"]) == (APP, "Origin")
    assert "Access-Control-Allow-Credentials" not in fields
    exposed = set(fields["Access-Control-Expose-Headers"].split(", "))
    assert exposed >= {"Retry-After", "Snapsurge-Ticket", "ETag", "X-Request-Id", "Location", "Idempotent-Replayed"}


@pytest.mark.parametrize("origin", [None, OTHER, "null", APP.upper(), f"{APP}.evil.example", f"{APP}:80", ""])
def test_anybody_else_may_not(origin: str | None) -> None:
    """But learns that the answer depends on the origin, so that a cache does not give it to one that may."""
    assert CORS.fields(origin, public=False) == {"Vary": "Origin"}


@pytest.mark.parametrize("origin", [None, APP, OTHER])
def test_a_public_answer_is_the_same_for_all(origin: str | None) -> None:
    """One copy in a shared cache serves every page, and an `<img>`."""
    fields = CORS.fields(origin, public=True)

    assert fields["Access-Control-Allow-Origin"] == "*"
    assert "Vary" not in fields


def test_without_the_setting_there_is_nothing() -> None:
    """No field anywhere."""
    none = Cors(origins(""))

    assert not none
    assert CORS
    assert none.preflight(ASKED, "GET") == {}


@asynccontextmanager
async def asking() -> AsyncIterator[TestClient]:
    """A client of a server that answers every request as OPTIONS is answered; one path takes GET, HEAD and POST."""

    @web.middleware
    async def answer(request: web.Request, handler: Any) -> web.StreamResponse:
        return options(request, CORS)

    async def never(_: web.Request) -> web.Response:
        raise AssertionError

    app = web.Application(middlewares=[answer])
    app.router.add_get("/x", never)
    app.router.add_post("/x", never)
    async with TestClient(TestServer(app)) as client:
        yield client


async def test_a_browser_is_told_before_it_asks() -> None:
    """What it may send, and for how long it need not ask again."""
    async with asking() as client, client.options("/x", headers=ASKED) as answer:
        assert (answer.status, await answer.read()) == (204, b"")
        assert answer.headers["Access-Control-Allow-Methods"] == "GET, HEAD, OPTIONS, POST"
        allowed = set(answer.headers["Access-Control-Allow-Headers"].lower().split(", "))
        assert allowed >= {
            "authorization",
            "content-type",
            "snapsurge-ticket",
            "content-digest",
            "range",
            "if-none-match",
        }
        assert int(answer.headers["Access-Control-Max-Age"]) > 0


@pytest.mark.parametrize("headers", [{}, {"Origin": APP}, ASKED | {"Origin": OTHER}])
async def test_any_other_options_is_told_the_methods(headers: dict[str, str]) -> None:
    """204 with Allow; another origin's page goes no further."""
    async with asking() as client, client.options("/x", headers=headers) as answer:
        assert (answer.status, answer.headers["Allow"]) == (204, "GET, HEAD, OPTIONS, POST")
        assert not [name for name in answer.headers if name.startswith("Access-Control")]


async def test_what_is_not_there_has_no_options() -> None:
    """404, as with any method."""
    async with asking() as client, client.options("/y", headers=ASKED) as answer:
        assert answer.status == 404
