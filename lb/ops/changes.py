"""The admin calls that change the nodes at run time.

    POST /nodes                 {"id": "c", "address": "127.0.0.1:9003", "weight": 1, "zone": ""}
    POST /nodes/c/drain         no new requests; those under way finish
    POST /nodes/c/undrain
    POST /nodes/c/weight        {"weight": 3}
    POST /nodes/c/remove

Each answers with the node's row once the change is in force, or with `{"error": "…"}`.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec
from aiohttp import web

from ..membership.heartbeats import checked_address
from ..membership.members import Membership
from ..membership.overrides import OverrideError, Overrides
from ..placement.node import Member

BODY_BYTES_MAX = 4096  # Of a call; a new node takes some hundred.
T = TypeVar("T")
Change = Callable[[web.Request], Awaitable[tuple[str, Overrides]]]


class NewNode(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST /nodes`."""

    id: str
    address: str
    weight: int = 1
    zone: str = ""


class NewWeight(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `POST /nodes/{id}/weight`."""

    weight: int


class Changes:
    """The calls that change one membership; `row` gives a node's row."""

    def __init__(self, membership: Membership, row: Callable[[str], object]) -> None:
        self._membership = membership
        self._row = row

    def routes(self) -> list[web.RouteDef]:
        """The routes of the calls."""
        table: dict[str, Change] = {
            "/nodes": self._add,
            "/nodes/{id}/drain": self._drain,
            "/nodes/{id}/undrain": self._undrain,
            "/nodes/{id}/remove": self._remove,
            "/nodes/{id}/weight": self._weigh,
        }
        return [web.post(path, self._call(change)) for path, change in table.items()]

    def _call(self, change: Change) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def answer(request: web.Request) -> web.Response:
            # A browser sends `Origin`: a page must not change nodes by a request to an operator's localhost.
            if "Origin" in request.headers:
                return _json({"error": "requests of a browser are refused"}, 403)
            try:
                name, overrides = await change(request)
            except OverrideError as error:
                return _json({"error": str(error)}, error.status)
            await self._membership.change(overrides)
            known = name in overrides.over(self._membership.announced)
            return _json(self._row(name) if known else {"removed": name})

        return answer

    async def _add(self, request: web.Request) -> tuple[str, Overrides]:
        new = await _body(request, NewNode)
        if not new.id or "/" in new.id:
            raise OverrideError(400, "an id has at least one character and no slash")
        try:
            member = Member(id=new.id, address=checked_address(new.address), weight=new.weight, zone=new.zone)
        except ValueError as error:
            raise OverrideError(400, str(error)) from error
        return new.id, self._membership.overrides.add(member, self._membership.announced)

    async def _drain(self, request: web.Request) -> tuple[str, Overrides]:
        name = request.match_info["id"]
        return name, self._membership.overrides.drain(name, self._membership.announced)

    async def _undrain(self, request: web.Request) -> tuple[str, Overrides]:
        name = request.match_info["id"]
        return name, self._membership.overrides.undrain(name, self._membership.announced)

    async def _remove(self, request: web.Request) -> tuple[str, Overrides]:
        name = request.match_info["id"]
        return name, self._membership.overrides.remove(name, self._membership.announced)

    async def _weigh(self, request: web.Request) -> tuple[str, Overrides]:
        name, new = request.match_info["id"], await _body(request, NewWeight)
        return name, self._membership.overrides.weigh(name, new.weight, self._membership.announced)


async def _body(request: web.Request, kind: type[T]) -> T:
    """The JSON of the call; raises OverrideError."""
    try:
        return msgspec.json.decode(await request.read(), type=kind)
    except msgspec.MsgspecError as error:
        raise OverrideError(400, f"the body is invalid: {error}") from error


def _json(value: object, status: int = 200) -> web.Response:
    return web.Response(status=status, body=msgspec.json.encode(value), content_type="application/json")
