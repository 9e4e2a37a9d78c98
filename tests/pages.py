"""What the four programs expose, from their own registries: the text of each page, and the names of all series."""

import asyncio
import re
from functools import cache

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
from processors.scaling.redis_servers import RedisMetrics
from storage.exposition import page
from storage.index import Counts
from storage.records import Moment

OPTIONS = Options(listen=("h", 0), admin=None, nodes=[], hash_on="uri", policy="ring", check=None)
# promtool's time begins with 1970.
MOMENT = Moment(
    id="eu-19700101-abc",
    region="eu",
    fires_at="1970-01-01T00:01:00.000Z",
    closes_at="1970-01-01T00:03:00.000Z",
    window_s=120,
)


async def _balancer() -> CollectorRegistry:
    config = Config(ticket_secret="a-secret-of-this-page")
    fleet = Fleet(placement(config, OPTIONS))
    fleet.set_members([Member(id="a", address="h:1")], 0.0)
    context = Context(config, fleet, hash_on="uri", spawn=lambda job: job.close())
    context.certificate_ends_s = lambda: 0.0
    return balancer_registry(Connections(context))


@cache
def pages() -> dict[str, str]:
    """The page of a balancer, a node, a worker and the elected autoscaler, as they are before anything happens."""
    scaler = ScalerMetrics()
    scaler.elected.set(1)
    scaler.moments = (Counted(MOMENT, Counts()),)
    RedisMetrics(scaler.led, ["h:6379/0"])
    node = NodeMetrics(Admission(Budget(requests_max=1, bytes_max=1), Commits()))
    registries = {
        "balancer": asyncio.run(_balancer()),
        "node": node.registry,
        "worker": Metrics().registry,
        "autoscaler": scaler.registry,
    }
    return {tier: page(one, as_openmetrics=False)[0].decode() for tier, one in registries.items()}


def exposed_names() -> set[str]:
    """Every name that a sample has on one of the pages."""
    return set(re.findall(r"^([a-z_]+)[{ ]", "".join(pages().values()), re.MULTILINE))


def scraped(names: set[str]) -> dict[str, str]:
    """These series of all pages as Prometheus has them, each with a value in promtool's notation.

    Counters and histograms grow with every scrape, all else stays what it is.
    """
    found = {f'up{{job="snapsurge",tier="{tier}",instance="{tier}"}}': "1x240" for tier in pages()}
    for tier, text in pages().items():
        for name, labels, value in re.findall(r"^([a-z_]+)(?:\{(.*)\})? (\S+)$", text, re.MULTILINE):
            if name in names:
                own = f"{labels}," if labels else ""
                target = f'instance="{tier}"' if 'tier="' in own else f'tier="{tier}",instance="{tier}"'
                grows = name.endswith(("_total", "_bucket", "_sum", "_count"))
                found[f"{name}{{{own}{target}}}"] = "0+1x240" if grows else f"{value}x240"
    return found
