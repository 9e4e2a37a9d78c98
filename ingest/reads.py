"""Reads give way: a call around which an overloaded node says 503 before it asks the store anything."""

import random

from aiohttp import web

from .admission import Admission
from .answering import Handler
from .errors import Refusal
from .returns import when_away_s


def shedding(handler: Handler, admission: Admission) -> Handler:
    """The handler, as long as reads are admitted."""

    async def read(request: web.Request) -> web.StreamResponse:
        if not admission.admit_read():
            wait = {"Retry-After": str(when_away_s(random.random()))}
            raise Refusal("overloaded", "uploads come first; ask again", headers=wait)
        try:
            return await handler(request)
        finally:
            admission.release_read()

    return read
