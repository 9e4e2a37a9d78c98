"""The admin port: `/livez`, `/readyz`, `/metrics`, `/nodes` and `/aboutz`, for operators and supervisors.

Clients cannot reach it, because it listens on another address. The calls that change nodes are in `changes.py`.
"""

from collections.abc import Mapping
from functools import partial

import msgspec
from aiohttp import web

from ..about import PATH as ABOUT
from ..membership.members import Membership
from ..placement.node import RAMP_FULL
from ..relay.connections import Connections
from ..relay.context import Context
from .about import AboutPage
from .changes import BODY_BYTES_MAX, Changes
from .exposition import OPENMETRICS, page
from .metrics import registry


class NodeRow(msgspec.Struct, frozen=True, kw_only=True):
    """One element of `/nodes`.

    `share` is the node's part of the keys, 0 to 1; `starting` the part of it that a slow start has reached; `since_s`
    the time in its state; `answer_s` its answer time (peak EWMA).
    """

    id: str
    address: str
    zone: str
    weight: int
    state: str
    reason: str
    since_s: float
    silent: bool
    starting: float
    in_flight: int
    bytes_in_flight: int
    answer_s: float
    requests: int
    connects: int
    connect_errors: int
    share: float
    ejections: int


def node_rows(context: Context) -> list[NodeRow]:
    """The rows of all nodes, by id."""
    return [row_of(context, name) for name in sorted(context.fleet.nodes)]


def row_of(context: Context, name: str) -> NodeRow:
    """The row of one node."""
    node = context.fleet.nodes[name]
    return NodeRow(
        id=name,
        address=node.member.address,
        zone=node.member.zone,
        weight=node.weight,
        state=node.health.state.value,
        reason=node.health.reason,
        since_s=round(context.clock() - node.health.since, 1),
        silent=node.silent,
        starting=round(node.ramp / RAMP_FULL, 3),
        in_flight=node.in_flight,
        bytes_in_flight=node.bytes_in_flight,
        answer_s=round(node.ewma_s, 4),
        requests=node.requests,
        connects=node.connects,
        connect_errors=node.connect_errors,
        share=round(context.fleet.shares.get(name, 0.0), 4),
        ejections=node.health.ejections,
    )


def application(
    connections: Connections, membership: Membership | None = None, chosen: Mapping[str, str] | None = None
) -> web.Application:
    """The admin app; without a membership it cannot change nodes. `chosen`: see `AboutPage`."""
    context, metrics_registry = connections.context, registry(connections)

    async def livez(_: web.Request) -> web.Response:
        return web.Response(text="alive\n")

    async def readyz(_: web.Request) -> web.Response:
        if context.draining:
            return web.Response(status=503, text="draining\n")
        if not context.fleet.ready:
            return web.Response(status=503, text="no nodes\n")
        return web.Response(text="ready\n")

    async def nodes(_: web.Request) -> web.Response:
        return web.Response(body=msgspec.json.encode(node_rows(context)), content_type="application/json")

    async def metrics(request: web.Request) -> web.Response:
        asked = OPENMETRICS in request.headers.get("Accept", "")
        body, kind = page(metrics_registry, as_openmetrics=asked)
        return web.Response(body=body, headers={"Content-Type": kind})

    app = web.Application(client_max_size=BODY_BYTES_MAX)
    app.add_routes(
        [
            web.get("/livez", livez),
            web.get("/readyz", readyz),
            web.get("/nodes", nodes),
            web.get("/metrics", metrics),
            web.get(ABOUT, AboutPage(context, chosen or {}).get),
        ]
    )
    if membership is not None:
        app.add_routes(Changes(membership, partial(row_of, context)).routes())
    return app
