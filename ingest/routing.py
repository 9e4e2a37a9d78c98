"""The router for the table of calls. It enforces the required scopes: no handler checks a token itself.

A handler runs only if the token has one of its call's scopes; it finds the user in `request[PRINCIPAL]`. Where the
table allows it, a signed link serves in place of a token; the handler finds it in `request[LINK]`, and a principal only
if a good token came too. A GET answers HEAD too. A call without a handler, a handler without a call, and a call without
scopes stop the node at start. The router is frozen afterwards.
"""

import time
from collections.abc import Mapping
from typing import Final

from aiohttp import web

from .answering import Handler
from .auth import LINK, PRINCIPAL, Authenticator
from .calls import CALLS, FILES, Call
from .errors import Refusal
from .links import Links
from .views import photo_path

# `/v1/moments/current` is no moment: its Allow names its own methods alone.
_MOMENT_ID: Final = r"{moment_id:(?!current$)[^{}/]+}"
# aiohttp takes no braces in a part of a path, unless told; a slash comes as %2F.
_USER_ID: Final = "{user_id:[^/]+}"


def add_routes(
    app: web.Application, handlers: Mapping[str, Handler], authenticator: Authenticator, links: Links
) -> None:
    """Connect each call of the table with its handler, by name; ValueError when a call or a handler is missing."""
    calls = {call.name: call for call in (*CALLS, *FILES)}
    if calls.keys() != handlers.keys():
        raise ValueError(f"a call without a handler, or a handler without a call: {calls.keys() ^ handlers.keys()}")
    guarded = {name: _guarded(handlers[name], call, authenticator, links) for name, call in calls.items()}
    for call in CALLS:
        # The upload sends 100 Continue itself, after it has decided; aiohttp would send it at once.
        expect = _say_nothing if call.body in ("pair", "part") else None
        path = call.path.replace("{moment_id}", _MOMENT_ID).replace("{user_id}", _USER_ID)
        app.router.add_route(call.method, path, guarded[call.name], name=call.name, expect_handler=expect)
        if call.method == "GET":
            app.router.add_route("HEAD", path, guarded[call.name], name=call.name)
    for call in FILES:
        app.router.add_get(call.path, guarded[call.name])
    app.router.freeze()


def _guarded(handler: Handler, call: Call, authenticator: Authenticator, links: Links) -> Handler:
    """The handler behind a check of its call's scopes; unchanged if the call needs no token."""
    scopes, linked = call.scopes, call.linked and bool(links)
    if scopes is None:
        return handler

    async def checked(request: web.Request) -> web.StreamResponse:
        authorization = request.headers.get("Authorization")
        by_link = linked and _by_link(request, links, authorization)
        try:
            request[PRINCIPAL] = authenticator.principal(authorization, *scopes)
        except Refusal:
            if not by_link:
                raise
        return await handler(request)

    return checked


def _by_link(request: web.Request, links: Links, authorization: str | None) -> bool:
    """Whether a signed link serves this request; Refusal when it has a bad one and no token."""
    if "sig=" not in request.query_string:
        return False
    # Of a target in absolute form the path and query, as they were sent.
    target = request.raw_path if request.raw_path.startswith("/") else request.rel_url.raw_path_qs
    path = photo_path(*(request.match_info[name] for name in ("post_id", "side", "size")))
    try:
        request[LINK] = links.read(target, path, time.time())
    except Refusal:
        if authorization is None:
            raise
        return False
    return True


async def _say_nothing(_request: web.Request) -> None:
    """Send no interim answer yet."""
