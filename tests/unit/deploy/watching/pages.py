"""Pages of metrics for the tests of the live view: one for each kind of program."""

from collections.abc import Mapping

from deploy.watching.differences import Reading
from deploy.watching.exposition import parse
from deploy.watching.rounds import Round
from deploy.watching.targets import Target

NODE = Target("http://127.0.0.1:9001/metrics", "a", "node")
BALANCER = Target("http://127.0.0.1:8090/metrics", "lb-1", "balancer")
SCALER = Target("http://127.0.0.1:9100/metrics", "autoscaler", "autoscaler")
STARTED = 1_000.0


def node(
    *, accepted: int = 0, shed: int = 0, in_flight: int = 0, started: float = STARTED, slow: int = 0, **more: float
) -> str:
    """A node that accepted pairs within 0.1 s, and `slow` ones of them within 1 s."""
    lines = [
        f"process_start_time_seconds {started}",
        f'snapsurge_ingest_requests_total{{route="upload",status="201"}} {accepted}',
        f'snapsurge_ingest_requests_total{{route="upload",status="503"}} {shed}',
        f'snapsurge_ingest_requests_total{{route="readyz",status="200"}} {9 * accepted}',
        f'snapsurge_posts_total{{outcome="accepted"}} {accepted}',
        f'snapsurge_posts_total{{outcome="shed"}} {shed}',
        f"snapsurge_ingest_in_flight_requests {in_flight}",
        f"snapsurge_ingest_in_flight_bytes {in_flight * 1000}",
        "snapsurge_ingest_in_flight_bytes_max 10000",
        f"snapsurge_ingest_draining {more.get('draining', 0)}",
        f'snapsurge_ingest_not_ready{{cause="store"}} {more.get("store_away", 0)}',
        f'snapsurge_store_failures_total{{cause="quorum-lost"}} {more.get("refused", 0)}',
    ]
    for name in (
        'snapsurge_ingest_request_seconds_bucket{route="upload"',
        'snapsurge_stage_seconds_bucket{stage="store"',
    ):
        lines += [
            f'{name},le="0.05"}} 0',
            f'{name},le="0.1"}} {accepted - slow}',
            f'{name},le="1.0"}} {accepted}',
            f'{name},le="+Inf"}} {accepted}',
        ]
    return "\n".join(lines)


def balancer(
    *, given: int = 0, honoured: int = 0, sent: int = 0, panic: int = 0, draining: int = 0, started: float = STARTED,
    nodes: Mapping[str, Mapping[str, float]] | None = None,
) -> str:  # fmt: skip
    """A balancer; of each node what differs from a healthy one."""
    lines = [
        f"process_start_time_seconds {started}",
        f"snapsurge_lb_panic {panic}",
        f"snapsurge_lb_draining {draining}",
        "snapsurge_lb_clients 7",
        "snapsurge_lb_in_flight 3",
        f'snapsurge_lb_requests_total{{status="2xx"}} {sent}',
        f'snapsurge_lb_tickets_total{{outcome="given"}} {given}',
        f'snapsurge_lb_tickets_total{{outcome="honoured"}} {honoured}',
    ]
    for name, more in (nodes if nodes is not None else {"a": {}}).items():
        found = {"up": 1.0, "ring_share": 0.5, "starting": 1.0, "answer_seconds": 0.02, "requests_total": sent, **more}
        found.setdefault("ejections_total", 0)
        lines += [f'snapsurge_lb_node_{metric}{{node="{name}"}} {value}' for metric, value in found.items()]
    return "\n".join(lines)


def scaler(
    *, elected: int = 1, moments: Mapping[str, tuple[float, Mapping[str, int]]] | None = None, **more: float
) -> str:
    """An autoscaler; of each moment when it fires (its window is 120 s) and its counts."""
    lines = [f"snapsurge_autoscaler_elected {elected}"]
    if not elected:
        return lines[0]
    found = {
        "queue_ready": 0.0,
        "queue_leased": 0.0,
        "queue_oldest_seconds": 0.0,
        "workers": 1.0,
        "workers_desired": 1.0,
    }
    found |= {"dead_letters": 0.0} | more
    lines += [
        f"snapsurge_{name} {value}"
        for name, value in found.items()
        if name not in {"lapsed", "enqueued", "redis_up", "nodes", "lost", "incomplete"}
    ]
    lines += [
        f"snapsurge_swept_lost_total {more.get('lost', 0)}",
        f'snapsurge_queue_events_total{{event="lapsed"}} {more.get("lapsed", 0)}',
        f'snapsurge_queue_events_total{{event="enqueued"}} {more.get("enqueued", 0)}',
        f'snapsurge_tier_desired{{tier="node"}} {more.get("nodes", 0)}',
        f'snapsurge_redis_up{{shard="127.0.0.1:6379"}} {more.get("redis_up", 1)}',
        'snapsurge_redis_memory_bytes{shard="127.0.0.1:6379"} 2048',
        'snapsurge_redis_memory_max_bytes{shard="127.0.0.1:6379"} 0',
    ]
    for name, (fires_at, posts) in (moments or {}).items():
        labels = f'moment="{name}",region="eu"'
        lines += [
            f"snapsurge_moment_fires_timestamp_seconds{{{labels}}} {fires_at}",
            f"snapsurge_moment_closes_timestamp_seconds{{{labels}}} {fires_at + 120}",
            f'snapsurge_moment_counts_complete{{moment="{name}"}} {0 if more.get("incomplete") else 1}',
            *(f'snapsurge_moment_posts{{moment="{name}",state="{state}"}} {count}' for state, count in posts.items()),
        ]
    return "\n".join(lines)


def reading(at: float, text: str) -> Reading:
    """A reading of this page."""
    return Reading(at, parse(text))


def round_of(at: float, pages: Mapping[Target, str], **failures: str) -> Round:
    """A round in which these targets answered; `failures` by the name of a known target."""
    known = {one.name: one for one in (NODE, BALANCER, SCALER)}
    failed = {known[name.replace("_", "-")]: why for name, why in failures.items()}
    return Round(at, {target: reading(at, text) for target, text in pages.items()}, failed)
