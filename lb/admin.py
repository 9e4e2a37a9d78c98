"""The admin port: `/livez`, `/readyz`, `/metrics` and `/nodes`, for operators and for whatever supervises us.

It only reads; clients never reach it, because it listens on an address of its own.
"""

from typing import TYPE_CHECKING

import msgspec
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from .metrics import registry

if TYPE_CHECKING:
    from .proxy import Proxy


class NodeRow(msgspec.Struct, frozen=True, kw_only=True):
    """One element of `/nodes`; `share` is the part of the ring, 0 to 1."""

    id: str
    address: str
    zone: str
    weight: int
    state: str
    reason: str
    in_flight: int
    bytes_in_flight: int
    requests: int
    connects: int
    connect_errors: int
    share: float
    ejections: int


def node_rows(proxy: "Proxy") -> list[NodeRow]:
    """The nodes by id."""
    return [
        NodeRow(
            id=name,
            address=node.member.address,
            zone=node.member.zone,
            weight=node.weight,
            state=node.health.state.value,
            reason=node.health.reason,
            in_flight=node.in_flight,
            bytes_in_flight=node.bytes_in_flight,
            requests=node.requests,
            connects=node.connects,
            connect_errors=node.connect_errors,
            share=round(proxy.fleet.shares.get(name, 0.0), 4),
            ejections=node.health.ejections,
        )
        for name, node in sorted(proxy.fleet.nodes.items())
    ]


def application(proxy: "Proxy") -> web.Application:
    """The admin app of one proxy."""
    metrics_registry = registry(proxy)

    async def livez(_: web.Request) -> web.Response:
        return web.Response(text="alive\n")

    async def readyz(_: web.Request) -> web.Response:
        if proxy.draining:
            return web.Response(status=503, text="draining\n")
        if not proxy.fleet.ready:
            return web.Response(status=503, text="no nodes\n")
        return web.Response(text="ready\n")

    async def nodes(_: web.Request) -> web.Response:
        return web.Response(body=msgspec.json.encode(node_rows(proxy)), content_type="application/json")

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(metrics_registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.add_routes(
        [
            web.get("/livez", livez),
            web.get("/readyz", readyz),
            web.get("/nodes", nodes),
            web.get("/metrics", metrics),
        ]
    )
    return app
