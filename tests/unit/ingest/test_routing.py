"""The router enforces the table of calls: who may call what is decided there, whatever a handler does or forgets."""

import time
from typing import Any

import jwt
import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from ingest.auth import LINK, PRINCIPAL, Authenticator
from ingest.calls import CALLS, FILES, Call
from ingest.errors import Refusal
from ingest.links import Links
from ingest.routing import add_routes

EVERY = (*CALLS, *FILES)
SECRET = "a-secret-for-tests-of-32-characters"


def token(user: str, scope: str = "upload") -> str:
    """A good token."""
    return jwt.encode({"sub": user, "scope": scope}, SECRET, "HS256")


async def forgetful(_request: web.Request) -> web.Response:
    """A handler that asks for no token."""
    return web.Response(text="anything")


LINKS = Links([b"a-secret-for-links-of-32-characters"], 600)
HANDLERS = {call.name: forgetful for call in EVERY}


def router(handlers: dict[str, Any] = HANDLERS) -> web.UrlDispatcher:
    """The table with these handlers."""
    app = web.Application()
    add_routes(app, handlers, Authenticator(SECRET), LINKS)
    return app.router


async def ask(
    routes: web.UrlDispatcher, call: Call, headers: dict[str, str], method: str = "", query: str = ""
) -> web.StreamResponse:
    """What the handler of this call answers, or its Refusal."""
    path = call.path.replace("{", "").replace("}", "")
    request = make_mocked_request(method or call.method, path + query, headers=headers)
    found = await routes.resolve(request)
    request = make_mocked_request(request.method, path + query, headers=headers, match_info=dict(found))
    assert found.http_exception is None
    return await found.handler(request)


@pytest.mark.parametrize("call", EVERY, ids=lambda call: call.name)
async def test_a_handler_that_forgets_its_check_is_not_reached(call: Call) -> None:
    """Without a token and with one of another scope; with the right one, and where no token is needed, it is."""
    routes = router()
    for scope in ("", "upload", "ops"):
        headers = {"Authorization": f"Bearer {token('alice', scope)}"} if scope else {}
        if call.scopes is None or scope in call.scopes:
            assert (await ask(routes, call, headers)).status == 200
        else:
            with pytest.raises(Refusal, match="forbidden" if scope else "unauthenticated"):
                await ask(routes, call, headers)


@pytest.mark.parametrize("call", [call for call in EVERY if call.method == "GET"], ids=lambda call: call.name)
async def test_every_get_has_its_head(call: Call) -> None:
    """With the same check of the token: who may not GET may not HEAD."""
    routes = router()
    scope = (call.scopes or ("",))[0]
    headers = {"Authorization": f"Bearer {token('alice', scope)}"} if scope else {}
    assert (await ask(routes, call, headers, "HEAD")).status == 200
    if scope:
        with pytest.raises(Refusal, match="unauthenticated"):
            await ask(routes, call, {}, "HEAD")


def signed() -> str:
    """The query of a good link for the path that `ask` asks for."""
    return "?" + LINKS.signer(time.time())("/v1/posts/post_id/photos/side/size", "0" * 64).partition("?")[2]


@pytest.mark.parametrize("call", EVERY, ids=lambda call: call.name)
async def test_a_link_serves_in_place_of_a_token_where_the_table_says_so(call: Call) -> None:
    """For pictures; nowhere else does a signature count, also not for another method."""
    routes = router()
    if call.linked:
        for method in ("GET", "HEAD"):
            assert (await ask(routes, call, {}, method, signed())).status == 200
    elif call.scopes is not None:
        with pytest.raises(Refusal, match="unauthenticated"):
            await ask(routes, call, {}, query=signed())
    assert call.linked is (call.name == "photo")


async def test_a_bad_link_is_refused_unless_there_is_a_token() -> None:
    """A client may send its token with everything, to a link that has ended too; a bad token does not spoil a link."""
    routes, call = router(), next(call for call in CALLS if call.linked)
    good, bad = signed(), signed()[:-1] + "~"
    token_field = {"Authorization": f"Bearer {token('alice')}"}
    with pytest.raises(Refusal, match="bad-link"):
        await ask(routes, call, {}, query=bad)
    assert (await ask(routes, call, token_field, query=bad)).status == 200
    with pytest.raises(Refusal, match="unauthenticated"):
        await ask(routes, call, {"Authorization": "Bearer x"}, query=bad)
    assert (await ask(routes, call, {"Authorization": "Bearer x"}, query=good)).status == 200


async def test_a_handler_learns_by_what_a_picture_is_read() -> None:
    """By a link, and by whom if a good token came with it; by a token alone if the link is not good."""
    asked: list[tuple[bool, bool]] = []

    async def handler(request: web.Request) -> web.Response:
        asked.append((LINK in request, PRINCIPAL in request))
        return web.Response()

    routes, call = router(HANDLERS | {"photo": handler}), next(call for call in CALLS if call.linked)
    token_field = {"Authorization": f"Bearer {token('alice')}"}
    for query in (signed(), "", signed()[:-1] + "~"):
        await ask(routes, call, token_field, query=query)
    for headers in ({}, {"Authorization": "Bearer x"}):
        await ask(routes, call, headers, query=signed())

    assert asked == [(True, True), (False, True), (False, True), (True, False), (True, False)]


async def test_a_handler_learns_who_asks() -> None:
    """By the request, so that the token is checked once."""
    asked: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        asked.append(request[PRINCIPAL].user_id)
        return web.Response()

    call = next(call for call in CALLS if call.name == "post")
    await ask(router(HANDLERS | {"post": handler}), call, {"Authorization": f"Bearer {token('alice')}"})

    assert asked == ["alice"]


def test_a_call_without_scopes_is_refused_at_start() -> None:
    """Left out, or empty: nobody was meant to be able to call it, or somebody forgot."""
    row = {"name": "new", "method": "GET", "path": "/v1/new", "summary": "New"}
    with pytest.raises(TypeError, match="scopes"):
        Call(**row)
    with pytest.raises(ValueError, match="new: say who may call it"):
        Call(**row, scopes=())
    assert Call(**row, scopes=None).scopes is None
    with pytest.raises(ValueError, match="say who may call it"):
        msgspec.structs.replace(CALLS[0], scopes=())


@pytest.mark.parametrize(
    "handlers",
    [HANDLERS | {"new": forgetful}, {name: handler for name, handler in HANDLERS.items() if name != "post"}],
    ids=["a handler without a row", "a row without a handler"],
)
def test_table_and_handlers_fit_each_other(handlers: dict[str, Any]) -> None:
    """Else the node does not start."""
    with pytest.raises(ValueError, match="handler"):
        router(handlers)


def test_no_route_is_added_beside_the_table() -> None:
    """The router is closed once the table is in it."""
    routes = router()
    with pytest.raises(RuntimeError, match="frozen"):
        routes.add_get("/v1/secret", forgetful)
