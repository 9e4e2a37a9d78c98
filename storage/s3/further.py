"""Further requests about the object of a request: what members hide of it, and what a change of it replaced.

`hidden.py` and `replaced.py` decide; this file asks for them.
"""

import asyncio
import contextlib
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Literal

from ..blobs import Buffer
from . import hidden, listing, replaced
from .answer import Answer
from .endpoint import Endpoint
from .request import Method, Request, asked, quoted


class Further:
    """Further requests to a bucket at these endpoints; `send` sends one, and raises OSError."""

    def __init__(
        self, bucket: str, endpoints: Sequence[Endpoint], send: Callable[[Endpoint, Request], Awaitable[Answer]]
    ) -> None:
        self._bucket, self._endpoints, self._send = bucket, endpoints, send

    async def hidden(self, endpoint: Endpoint, request: Request, expected: str) -> Answer | None:
        """Why the object of this request may not be taken for one with this entity tag; see `hidden`. OSError."""

        async def ask(what: Literal["LIST", "HEAD"], key: str) -> Answer:
            if what == "HEAD":
                return await self._asked(endpoint, request, "HEAD", request.path)
            return await self._asked(endpoint, request, "GET", f"/{self._bucket}{asked(listing.query(key, most=1))}")

        return await hidden.hidden(ask, request.key, expected)

    async def replaced(self, request: Request, outcome: Answer | OSError) -> Answer | None:
        """Why a change that was done, or may have been, is not acknowledged; see `replaced`."""

        async def ask(what: Literal["VERSIONS", "REMOVE"], version: str) -> list[Answer]:
            if what == "VERSIONS":
                path = f"/{self._bucket}{asked({'prefix': request.key, 'versions': ''})}"
                asking = [self._asked(one, request, "GET", path) for one in self._endpoints]
                return [one for one in await asyncio.gather(*asking, return_exceptions=True) if isinstance(one, Answer)]
            said = Answer(503, code="SlowDownWrite")
            for one in self._endpoints:
                with contextlib.suppress(OSError):
                    said = await self._asked(one, request, "DELETE", f"{request.path}?versionId={quoted(version)}")
                if said.went_well:
                    break
            return [said]

        done = isinstance(outcome, Answer) and outcome.went_well
        tag = (outcome.etag if isinstance(outcome, Answer) and done else "") or _tag(request.parts)
        return await replaced.replaced(ask, request.key, tag, request.expects or "", done=done)

    async def _asked(self, endpoint: Endpoint, request: Request, method: Method, path: str) -> Answer:
        further = Request(method, "", path, {}, (), writes=False, now=request.now, until=request.until)
        return await self._send(endpoint, further)


def _tag(parts: Sequence[Buffer]) -> str:
    """The entity tag of an object with these bytes in a store that takes the MD5 for it: MinIO without encryption."""
    digest = hashlib.md5(usedforsecurity=False)
    for part in parts:
        digest.update(part)
    return f'"{digest.hexdigest()}"'
