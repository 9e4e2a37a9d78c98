"""Reads of an overloaded node are refused before they cost anything."""

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from ingest.admission import Admission, Budget
from ingest.commits import Commits
from ingest.errors import Refusal
from ingest.reads import shedding


async def test_reads_are_counted_and_refused_over_their_limit() -> None:
    """One inside the other is one too many: 503 with Retry-After; and every place is given back, after errors too."""
    admission = Admission(Budget(requests_max=1, bytes_max=1, reads_max=1), Commits())
    request = make_mocked_request("GET", "/")

    async def inner(_request: web.Request) -> web.StreamResponse:
        return web.Response()

    inside = shedding(inner, admission)
    for _ in range(2):
        with pytest.raises(Refusal, match="overloaded") as refused:
            await shedding(inside, admission)(request)
        assert 1 <= int(refused.value.headers["Retry-After"]) <= 5
    assert (await inside(request)).status == 200
    assert admission.reads == 0
