"""The page and its files come from this node, under a policy that allows nothing else."""

import re
from typing import Any


async def test_the_page_fetches_from_this_node_only(client: Any) -> None:
    """Every address in the page is local and answers; the policy forbids the rest."""
    page = await client.call("GET", "/docs")
    text = page.raw.decode()
    addresses = re.findall(r'(?:src|href)="([^"]+)"', text)

    assert page.status == 200
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert "http" not in "".join(addresses)
    for address in addresses:
        if not address.startswith("data:"):
            assert (await client.call("GET", address)).status == 200
    assert b"/openapi.json" in (await client.call("GET", "/docs/start.js")).raw


async def test_only_the_two_files_of_the_wheel_are_served(client: Any) -> None:
    """No name leads out of the folder, nor to its other files."""
    for name in ("swagger-editor.js", "..%2f__init__.py", "nothing"):
        answer = await client.call("GET", f"/docs/{name}")
        assert (answer.status, answer.body["code"]) == (404, "no-such-page")
