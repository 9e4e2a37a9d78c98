"""`/openapi.json` and `/docs`: the document, Swagger UI to read it (only from the installed wheel), and the guide.

The pages' Content-Security-Policy allows only files of this node: no inline script or style.
"""

from importlib.util import find_spec
from pathlib import Path

from aiohttp import web

from . import guide
from .config import Config
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
_FILE_FIELDS = {"Cache-Control": "max-age=86400"}


class Docs:
    """Everything is generated or read once, at start; `config` has the limits that the texts name."""

    def __init__(self, config: Config) -> None:
        facts = guide.facts(config)
        self._document = document(facts)
        # Located without importing: the package would import integrations with web frameworks that are not used.
        spec = find_spec("swagger_ui")
        if spec is None or not spec.submodule_search_locations:
            raise ModuleNotFoundError("swagger-ui-py is not installed; run `make setup`")
        static = Path(spec.submodule_search_locations[0]) / "static"
        files = {name: ((static / name).read_bytes(), kind, _FILE_FIELDS) for name, kind in _FILES.items()}
        texts = {name: (page, "text/html", _PAGE_FIELDS) for name, page in guide.pages(facts).items()}
        self._files = files | texts | {"pages.css": (guide.style(), "text/css", {})}

    async def openapi(self, _request: web.Request) -> web.Response:
        """The OpenAPI document as JSON."""
        return web.Response(body=self._document, content_type="application/json")

    async def docs(self, _request: web.Request) -> web.Response:
        """The HTML page of the calls."""
        return web.Response(text=_PAGE, content_type="text/html", headers=_PAGE_FIELDS)

    async def start(self, _request: web.Request) -> web.Response:
        """The script that starts Swagger UI."""
        return web.Response(text=_START, content_type="text/javascript")

    async def file(self, request: web.Request) -> web.Response:
        """A page of the guide, or a script or style sheet of the pages."""
        if request.match_info["name"] not in self._files:
            raise web.HTTPNotFound
        body, kind, fields = self._files[request.match_info["name"]]
        charset = "utf-8" if kind == "text/html" else None
        return web.Response(body=body, content_type=kind, charset=charset, headers=fields)
