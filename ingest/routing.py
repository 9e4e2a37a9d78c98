"""The router for the table of calls. It enforces the required scopes: no handler checks a token itself.

A handler runs only if the token has one of its call's scopes; it finds the user in `request[PRINCIPAL]`. A call without
a handler, a handler without a call, and a call without scopes stop the node at start. The router is frozen afterwards.
"""

from collections.abc import Mapping

from aiohttp import web

from .answering import Handler
from .auth import PRINCIPAL, Authenticator
from .calls import CALLS, FILES, Call


def add_routes(app: web.Application, handlers: Mapping[str, Handler], authenticator: Authenticator) -> None:
    """Connect each call of the table with its handler, by name; ValueError when a call or a handler is missing."""
    calls = {call.name: call for call in (*CALLS, *FILES)}
    if calls.keys() != handlers.keys():
        raise ValueError(f"a call without a handler, or a handler without a call: {calls.keys() ^ handlers.keys()}")
    guarded = {name: _guarded(handlers[name], call, authenticator) for name, call in calls.items()}
    for call in CALLS:
        # The upload sends 100 Continue itself, after it has decided; aiohttp would send it at once.
        expect = _say_nothing if call.body == "pair" else None
        app.router.add_route(call.method, call.path, guarded[call.name], name=call.name, expect_handler=expect)
    for call in FILES:
        app.router.add_get(call.path, guarded[call.name])
    app.router.freeze()


def _guarded(handler: Handler, call: Call, authenticator: Authenticator) -> Handler:
    """The handler behind a check of its call's scopes; unchanged if the call needs no token."""
    scopes = call.scopes
    if scopes is None:
        return handler

    async def checked(request: web.Request) -> web.StreamResponse:
        request[PRINCIPAL] = authenticator.principal(request.headers.get("Authorization"), *scopes)
        return await handler(request)

    return checked


async def _say_nothing(_request: web.Request) -> None:
    """Send no interim answer yet."""
