"""The pages for who writes an app: guide, recipes, errors. Made once, from the HTML and the programs beside this file.

`pages/*.html` are the texts; `$name` in them is a limit of this node (`facts`), so that the page says what the node
enforces. `recipes/` has a program for each HTTP stack, which tests run as it is (`tests/e2e/clients/`); the page shows
the same files. This file does not serve the pages (`docs.py`), and does not know the calls (`calls.py`).
"""

import html
from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import Final

from storage.photo.formats import NAMES
from storage.records import ACCEPTING_MS

from .auth import TOKEN_CHARS_MAX, USER_ID_CHARS_MAX
from .body.receiving import META_DEPTH_MAX
from .config import MIB, Config
from .giving_way import TURN_S
from .read_admission import USER_WAITERS_MAX
from .users import ERASURE_RATE, EXPORT_RATE, LIST_RATE
from .waiting import WAIT_S_MAX

_HERE = Path(__file__).parent
PAGES: Final = {"guide": "Guide", "recipes": "Recipes", "problems": "Errors"}
# In the order of the page: file, and its heading. Tests run those whose tools a machine has.
RECIPES: Final = {
    "okhttp.java": "OkHttp (Android, JVM)",
    "urlsession.swift": "URLSession (iOS)",
    "dio.dart": "Dio (Flutter)",
    "fetch.mjs": "fetch (browsers, React Native, Node)",
    "nethttp.go": "Go net/http",
    "resume.go": "Go net/http, resuming after a break",
    "python_requests.py": "Python requests",
    "python_httpx.py": "Python httpx",
    "python_aiohttp.py": "Python aiohttp",
    "curl.sh": "curl",
}
_FRAME = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title · snapsurge</title>
<link rel="stylesheet" href="/docs/pages.css">
<link rel="icon" href="data:,">
</head>
<body>
<nav><a href="/docs">API</a> $tabs</nav>
<main>
$body</main>
</body>
</html>
""")


def facts(config: Config) -> dict[str, str]:
    """The limits of this node as texts, by the names that the pages and the OpenAPI document use."""
    limits = config.photo_limits
    by_format = ", ".join(f"{NAMES[kind]} {limits.most(kind) / 1e6:.0f}" for kind in NAMES)
    return {
        "age_s": f"{config.resume_age_s:g}",
        "idle_s": f"{config.resume_idle_s:g}",
        "accepting_h": str(ACCEPTING_MS // 3_600_000),
        "erasures": str(ERASURE_RATE.burst),
        "exports": str(EXPORT_RATE.burst),
        "turn_s": f"{TURN_S:g}",
        "lists": str(LIST_RATE.burst),
        "meta_bytes": f"{config.meta_bytes_max:,}",
        "meta_depth": str(META_DEPTH_MAX),
        "pair_bytes": f"{config.body_bytes_max:,}",
        "pair_mib": f"{config.body_bytes_max / MIB:.2f}".rstrip("0").rstrip("."),
        "photo_bytes": f"{config.photo_bytes_max:,}",
        "photo_mib": f"{config.photo_bytes_max / MIB:.2f}".rstrip("0").rstrip("."),
        "pixels": f"{config.photo_pixels_max / 1e6:.0f}",
        "pixels_by_format": by_format,
        "rate": f"{config.body_rate_min_bytes_s:,}",
        "side_max": f"{config.photo_side_px_max:,}",
        "side_min": str(config.photo_side_px_min),
        "token_chars": f"{TOKEN_CHARS_MAX:,}",
        "uploads": str(config.user_uploads_burst),
        "link_s": str(config.link_s),
        "uploads_s": str(config.user_uploads_period_s),
        "user_chars": str(USER_ID_CHARS_MAX),
        "wait_s": str(WAIT_S_MAX),
        "waiters": str(USER_WAITERS_MAX),
    }


def pages(known: Mapping[str, str]) -> dict[str, bytes]:
    """The HTML pages by name; KeyError when a page names a fact that there is not."""
    bodies = {name: Template((_HERE / "pages" / f"{name}.html").read_text()).substitute(known) for name in PAGES}
    anchors = [f'<a href="#{file.partition(".")[0]}">{html.escape(heading)}</a>' for file, heading in RECIPES.items()]
    bodies["recipes"] += f"<p>{' · '.join(anchors)}</p>\n"
    bodies["recipes"] += "".join(_recipe(file, heading) for file, heading in RECIPES.items())
    made: dict[str, bytes] = {}
    for name, body in bodies.items():
        tabs = " ".join(f'<a href="/docs/{other}">{title}</a>' for other, title in PAGES.items())
        made[name] = _FRAME.substitute(title=PAGES[name], tabs=tabs, body=body).encode()
    return made


def style() -> bytes:
    """The style sheet of the pages."""
    return (_HERE / "pages" / "pages.css").read_bytes()


def _recipe(file: str, heading: str) -> str:
    program = html.escape((_HERE / "recipes" / file).read_text(), quote=False)
    anchor = file.partition(".")[0]
    return f'<h2 id="{anchor}">{html.escape(heading)}</h2>\n<pre><code>{program}</code></pre>\n'
