"""The router enforces the table of calls: who may call what is decided there, whatever a handler does or forgets."""

from typing import Any

import jwt
import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from ingest.auth import PRINCIPAL, Authenticator
from ingest.calls import CALLS, FILES, Call
from ingest.errors import Refusal
from ingest.routing import add_routes

EVERY = (*CALLS, *FILES)
SECRET = "a-secret-for-tests-of-32-characters"


def token(user: str, scope: str = "upload") -> str:
    """A good token."""
    return jwt.encode({"sub": user, "scope": scope}, SECRET, "HS256")


async def forgetful(_request: web.Request) -> web.Response:
    """A handler that asks for no token."""
    return web.Response(text="anything")


HANDLERS = {call.name: forgetful for call in EVERY}


def router(handlers: dict[str, Any] = HANDLERS) -> web.UrlDispatcher:
    """The table with these handlers."""
    app = web.Application()
    add_routes(app, handlers, Authenticator(SECRET))
    return app.router


async def ask(routes: web.UrlDispatcher, call: Call, headers: dict[str, str]) -> web.StreamResponse:
    """What the handler of this call answers, or its Refusal."""
    request = make_mocked_request(call.method, call.path.replace("{", "").replace("}", ""), headers=headers)
    found = await routes.resolve(request)
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
