"""The names of all series that the four programs expose, from their own registries."""

import asyncio
import re

from prometheus_client import CollectorRegistry

from ingest.admission import Admission, Budget
from ingest.commits import Commits
from ingest.metrics import Metrics as NodeMetrics
from lb.config import Config
from lb.ops.metrics import registry as balancer_registry
from lb.placement.fleet import Fleet
from lb.placement.node import Member
from lb.relay.connections import Connections
from lb.relay.context import Context
from lb.server import Options, placement
from processors.metrics import Counted, Metrics, ScalerMetrics
from storage.exposition import page
from storage.index import Counts
from storage.records import Moment

OPTIONS = Options(listen=("h", 0), admin=None, nodes=[], hash_on="uri", policy="ring", check=None)
MOMENT = Moment(
    id="eu-20260101-abc",
    region="eu",
    fires_at="2026-01-01T00:00:00.000Z",
    closes_at="2026-01-01T00:02:00.000Z",
    window_s=120,
)


async def _balancer() -> CollectorRegistry:
    config = Config(ticket_secret="a-secret-of-this-page")
    fleet = Fleet(placement(config, OPTIONS))
    fleet.set_members([Member(id="a", address="h:1")], 0.0)
    context = Context(config, fleet, hash_on="uri", spawn=lambda job: job.close())
    context.certificate_ends_s = lambda: 0.0
    return balancer_registry(Connections(context))


def exposed_names() -> set[str]:
    """Every name that a sample has, on the page of a balancer, a node, a worker or the elected autoscaler."""
    scaler = ScalerMetrics()
    scaler.elected.set(1)
    scaler.moments = (Counted(MOMENT, Counts()),)
    node = NodeMetrics(Admission(Budget(requests_max=1, bytes_max=1), Commits()))
    registries = (asyncio.run(_balancer()), node.registry, Metrics().registry, scaler.registry)
    text = b"".join(page(one, as_openmetrics=False)[0] for one in registries).decode()
    return set(re.findall(r"^([a-z_]+)[{ ]", text, re.MULTILINE))
