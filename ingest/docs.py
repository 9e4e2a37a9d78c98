"""`/openapi.json` and `/docs`: the document, and Swagger UI to read it, served only from the installed wheel.

The page's Content-Security-Policy allows only files of this node: no inline script or style.
"""

from importlib.util import find_spec
from pathlib import Path

from aiohttp import web

from .openapi import document

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_PAGE_FIELDS = {
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
}
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>snapsurge API</title>
<link rel="stylesheet" href="/docs/swagger-ui.css">
<link rel="icon" href="data:,">
</head>
<body>
<div id="page"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
"""
_START = 'SwaggerUIBundle({url: "/openapi.json", dom_id: "#page", deepLinking: true, validatorUrl: null});\n'
_FILES = {"swagger-ui.css": "text/css", "swagger-ui-bundle.js": "text/javascript"}


class Docs:
    """The document is generated once, and the wheel's two files are read once, at start."""

    def __init__(self) -> None:
        self._document = document()
        # Located without importing: the package would import integrations with web frameworks that are not used.
        spec = find_spec("swagger_ui")
        if spec is None or not spec.submodule_search_locations:
            raise ModuleNotFoundError("swagger-ui-py is not installed; run `make setup`")
        static = Path(spec.submodule_search_locations[0]) / "static"
        self._files = {name: (static / name).read_bytes() for name in _FILES}

    async def openapi(self, _request: web.Request) -> web.Response:
        """The OpenAPI document as JSON."""
        return web.Response(body=self._document, content_type="application/json")

    async def docs(self, _request: web.Request) -> web.Response:
        """The HTML page."""
        return web.Response(text=_PAGE, content_type="text/html", headers=_PAGE_FIELDS)

    async def start(self, _request: web.Request) -> web.Response:
        """The script that starts Swagger UI."""
        return web.Response(text=_START, content_type="text/javascript")

    async def file(self, request: web.Request) -> web.Response:
        """Swagger UI's script and style sheet."""
        name = request.match_info["name"]
        if name not in _FILES:
            raise web.HTTPNotFound
        fields = {"Cache-Control": "max-age=86400"}
        return web.Response(body=self._files[name], content_type=_FILES[name], headers=fields)
