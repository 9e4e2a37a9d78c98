"""Which web pages may call the node (CORS, https://fetch.spec.whatwg.org), and the answers to OPTIONS.

Only pages of the origins in the setting; without the setting no answer has a CORS field. Tokens travel in a header
that a page must set itself, never in a cookie, so `Access-Control-Allow-Credentials` is never sent.

An answer names the one origin that asked, so it says `Vary: Origin`, and says it to everybody: a browser that got a
picture for an `<img>` (no Origin) must not give that copy to a script. A picture by a signed link is the exception. Who
has the link needs no token, so any page may read it (`*`), the answer is the same for all, and a shared cache keeps one
copy of it.
"""

import re
from collections.abc import Mapping
from typing import Final

from aiohttp import web

METHODS: Final = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST")
# What clients of this service send; a browser asks before it sends one of them.
REQUEST_FIELDS: Final = (
    *("Authorization", "Content-Type", "Content-Digest", "Snapsurge-Ticket", "X-Request-Id"),
    *("If-None-Match", "If-Range", "Range", "Traceparent", "Tracestate", "Repr-Digest"),
    *("Upload-Complete", "Upload-Draft-Interop-Version", "Upload-Incomplete", "Upload-Length", "Upload-Offset"),
)
# What a script may read beside the fields that the Fetch standard always shows.
ANSWER_FIELDS: Final = (
    *(
        "Accept-Patch",
        "Accept-Ranges",
        "Allow",
        "Content-Range",
        "ETag",
        "Idempotent-Replayed",
        "Location",
        "RateLimit",
    ),
    *("RateLimit-Policy", "Retry-After", "Snapsurge-Ticket", "WWW-Authenticate", "X-Request-Id"),
    *("Upload-Complete", "Upload-Draft-Interop-Version", "Upload-Incomplete", "Upload-Length", "Upload-Limit"),
    "Upload-Offset",
)
PREFLIGHT_S: Final = 7200  # Chromium's maximum
_ORIGIN = re.compile(r"([a-z][a-z0-9+.-]*)://[a-z0-9._~-]+(:[0-9]{1,5})?|(https?)://\[[0-9a-f:.]+\](:[0-9]{1,5})?")
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


def origins(text: str) -> frozenset[str]:
    """The comma-separated origins; ValueError names one that no browser would send."""
    found = [one.strip() for one in text.split(",") if one.strip()]
    for one in found:
        match = _ORIGIN.fullmatch(one)
        if match is None:
            raise ValueError(f"{one!r} is no origin: give scheme://host[:port] in lower case, each by name")
        scheme, port = match[1] or match[3], match[2] or match[4]
        if port and port == _DEFAULT_PORTS.get(scheme):
            raise ValueError(f"{one!r}: leave out {port}, because browsers do")
    return frozenset(found)


class Cors:
    """Decides by the origins of the setting."""

    def __init__(self, allowed: frozenset[str]) -> None:
        self._allowed = allowed

    def __bool__(self) -> bool:
        """Whether any page may call; if not, no answer has a field of this module."""
        return bool(self._allowed)

    def fields(self, origin: str | None, *, public: bool) -> dict[str, str]:
        """The fields for an answer to this origin; `public`: anybody may have the answer, without a token."""
        exposed = {"Access-Control-Expose-Headers": ", ".join(ANSWER_FIELDS)}
        if public:
            return {"Access-Control-Allow-Origin": "*", **exposed}
        if origin not in self._allowed:
            return {"Vary": "Origin"}
        return {"Vary": "Origin", "Access-Control-Allow-Origin": str(origin), **exposed}

    def preflight(self, headers: Mapping[str, str], methods: str) -> dict[str, str]:
        """The fields that answer a browser's question before a request; empty for any other OPTIONS."""
        if headers.get("Origin") not in self._allowed or "Access-Control-Request-Method" not in headers:
            return {}
        return {
            "Access-Control-Allow-Methods": methods,
            "Access-Control-Allow-Headers": ", ".join(REQUEST_FIELDS),
            "Access-Control-Max-Age": str(PREFLIGHT_S),
        }


NO_PAGES: Final = Cors(frozenset())
NOTHING: Final[Mapping[str, str]] = {}


def options(request: web.Request, cors: Cors, offers: Mapping[str, str] = NOTHING) -> web.Response:
    """The answer to OPTIONS: 204 with the methods of the path, or of the server for `*`; raises HTTPNotFound.

    `offers` are the fields that tell what else the path supports.
    """
    methods = ", ".join(METHODS)
    if request.raw_path != "*":
        missing = request.match_info.http_exception
        if not isinstance(missing, web.HTTPMethodNotAllowed):
            raise web.HTTPNotFound
        methods = allow(missing)
    return web.Response(status=204, headers={"Allow": methods, **offers, **cors.preflight(request.headers, methods)})


def allow(error: web.HTTPMethodNotAllowed) -> str:
    """The value of Allow for a path that was asked for with another method."""
    return ", ".join(sorted({*error.allowed_methods, "OPTIONS"}))
