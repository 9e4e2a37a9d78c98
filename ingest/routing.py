"""The router over the table of calls, which enforces who may call what: no handler checks a token itself.

A handler runs only after its call's scopes were found in the token; it finds the user in `request[PRINCIPAL]`. A call
without a handler, a handler without a call, and a call whose row does not say who may call it end the node at its
start. Once made, the router takes no further routes.
"""

from collections.abc import Mapping

from aiohttp import web

from .answering import Handler
from .auth import PRINCIPAL, Authenticator
from .calls import CALLS, FILES, Call


def add_routes(app: web.Application, handlers: Mapping[str, Handler], authenticator: Authenticator) -> None:
    """Each call of the table, by name, with its handler; ValueError when table and handlers do not fit each other."""
    calls = {call.name: call for call in (*CALLS, *FILES)}
    if calls.keys() != handlers.keys():
        raise ValueError(f"a call without a handler, or a handler without a call: {calls.keys() ^ handlers.keys()}")
    guarded = {name: _guarded(handlers[name], call, authenticator) for name, call in calls.items()}
    for call in CALLS:
        # The upload answers `Expect: 100-continue` itself, after it has decided; aiohttp would at once.
        expect = _say_nothing if call.body == "pair" else None
        app.router.add_route(call.method, call.path, guarded[call.name], name=call.name, expect_handler=expect)
    for call in FILES:
        app.router.add_get(call.path, guarded[call.name])
    app.router.freeze()


def _guarded(handler: Handler, call: Call, authenticator: Authenticator) -> Handler:
    """The handler behind its call's scopes; as it is where no token is asked for."""
    scopes = call.scopes
    if scopes is None:
        return handler

    async def checked(request: web.Request) -> web.StreamResponse:
        request[PRINCIPAL] = authenticator.principal(request.headers.get("Authorization"), *scopes)
        return await handler(request)

    return checked


async def _say_nothing(_request: web.Request) -> None:
    """No interim answer yet."""
