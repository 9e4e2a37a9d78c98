"""The page and its files come from this node, under a policy that allows nothing else."""

import re
from typing import Any


async def test_the_page_fetches_from_this_node_only(client: Any) -> None:
    """Every address in the page is local and answers; the policy forbids the rest."""
    page = await client.call("GET", "/docs")
    text = page.raw.decode()
    addresses = re.findall(r'(?:src|href)="([^"]+)"', text)

    assert page.status == 200
    policy = page.headers["Content-Security-Policy"]
    for directive in ("default-src 'none'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"):
        assert directive in policy
    assert "unsafe" not in policy
    assert not re.search(r"<script>|<style|style=|\son\w+=", text)
    assert page.headers["X-Frame-Options"] == "DENY"
    assert page.headers["Referrer-Policy"] == "no-referrer"
    assert "http" not in "".join(addresses)
    for address in addresses:
        if not address.startswith("data:"):
            assert (await client.call("GET", address)).status == 200
    assert b"/openapi.json" in (await client.call("GET", "/docs/start.js")).raw


async def test_the_guide_is_served_under_the_same_policy(client: Any) -> None:
    """Its three pages and their style sheet; an error's `type`, resolved against its request, is one of them."""
    for name in ("guide", "recipes", "problems"):
        page = await client.call("GET", f"/docs/{name}")
        assert (page.status, page.content_type, page.charset) == (200, "text/html", "utf-8")
        assert "default-src 'none'" in page.headers["Content-Security-Policy"]
        assert not re.search(rb"<script|<style|style=|\son\w+=", page.raw)
    assert (await client.call("GET", "/docs/pages.css")).content_type == "text/css"
    problem = (await client.call("GET", "/v1/posts/x")).body
    path, _, anchor = problem["type"].partition("#")
    assert f'id="{anchor}"'.encode() in (await client.call("GET", path)).raw


async def test_only_the_two_files_of_the_wheel_are_served(client: Any) -> None:
    """No name leads out of the folder, nor to its other files."""
    for name in ("swagger-editor.js", "..%2f__init__.py", "nothing"):
        answer = await client.call("GET", f"/docs/{name}")
        assert (answer.status, answer.body["code"]) == (404, "no-such-page")


async def test_no_answer_is_guessed_to_be_a_page(client: Any) -> None:
    """Every answer, errors included, says its type and that it is to be believed; only pages of /docs are HTML."""
    for path in (
        "/docs",
        "/docs/guide",
        "/docs/start.js",
        "/openapi.json",
        "/metrics",
        "/aboutz",
        "/livez",
        "/nothing",
        "/v1/posts/x",
    ):
        answer = await client.call("GET", path)
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert (answer.content_type == "text/html") is (path in {"/docs", "/docs/guide"})
