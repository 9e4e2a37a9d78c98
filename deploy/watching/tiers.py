"""The rows of the view: nodes, balancers, queue, Redis, from what the programs say in one round. Pure."""

from collections.abc import Sequence
from typing import Final

from . import view
from .differences import SAME_START_S, STARTED
from .rounds import Seen, summed
from .view import Balancer, Node, Queue, Shard

COUNTED: Final = "snapsurge_queue_events_total"


def balancers(seen: Sequence[Seen]) -> tuple[Balancer, ...]:
    """A row for each balancer, by name."""
    return tuple(
        Balancer(
            name=one.name,
            state=_balancer_state(one),
            per_s=one.per_s("snapsurge_lb_requests_total"),
            in_flight=one.get("snapsurge_lb_in_flight"),
            clients=one.get("snapsurge_lb_clients"),
            started=one.get("process_start_time_seconds"),
        )
        for one in sorted((each for each in seen if each.tier == "balancer"), key=lambda each: each.name)
    )


def _balancer_state(one: Seen) -> str:
    if one.page is None:
        return view.SILENT
    if one.get("snapsurge_lb_draining"):
        return view.DRAINING
    return view.PANIC if one.get("snapsurge_lb_panic") else view.HEALTHY


class Front:
    """A balancer, and what it counted of each node: a page has all nodes, so it is gone through once."""

    def __init__(self, seen: Seen) -> None:
        self.get, self.each, self._seconds = seen.get, seen.each, seen.rise.seconds
        self._sent = _by_node(seen, "snapsurge_lb_node_requests_total")
        self.ejected = _by_node(seen, "snapsurge_lb_node_ejections_total")

    def per_s(self, node: str | None = None) -> float | None:
        """Requests a second, to a node or to all; None when that is not known yet."""
        count = sum(self._sent.values()) if node is None else self._sent.get(node, 0.0)
        return count / self._seconds if self._seconds > 0 else None


def _by_node(seen: Seen, name: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for labels, value in seen.rise.each(name):
        node = labels.get("node", "")
        found[node] = found.get(node, 0.0) + value
    return found


def nodes(seen: Sequence[Seen]) -> tuple[Node, ...]:
    """A row for each node that a balancer knows or that is a target, by name."""
    fronts = [Front(one) for one in seen if one.tier == "balancer" and one.page is not None]
    own = {one.name: one for one in seen if one.tier == "node"}
    known = {labels["node"] for one in fronts for labels, _ in one.each("snapsurge_lb_node_up") if "node" in labels}
    # One that is listed and hangs is forgotten by the balancers, but it has not left.
    names = sorted(known | own.keys())
    every = summed(one.per_s() for one in fronts)
    return tuple(_node(name, own.get(name), fronts, every) for name in names)


def _node(name: str, own: Seen | None, fronts: Sequence[Front], every: float | None) -> Node:
    ups = [up for one in fronts if (up := one.get("snapsurge_lb_node_up", node=name)) is not None]
    shares = [share for one in fronts if (share := one.get("snapsurge_lb_node_ring_share", node=name)) is not None]
    ramps = [ramp for one in fronts if (ramp := one.get("snapsurge_lb_node_starting", node=name)) is not None]
    per_s = summed(one.per_s(name) for one in fronts)
    # The state is the first that applies, the worst first: what a node says of itself explains what balancers think of
    # it.
    causes = (
        [labels.get("cause", "") for labels, value in own.each("snapsurge_ingest_not_ready") if value] if own else []
    )
    answers = [one.get("snapsurge_lb_node_answer_seconds", node=name) for one in fronts]
    state, why = view.HEALTHY, ""
    if own is not None and own.page is None:
        state, why = view.SILENT, own.why
    elif own is not None and own.get("snapsurge_ingest_draining"):
        state = view.DRAINING
    elif causes:
        state, why = view.NOT_READY, ", ".join(causes)
    elif sum(ups) < len(ups):
        state = view.UNHEALTHY
    elif ramps and min(ramps) < 1:
        state = view.STARTING
    return Node(
        name=name,
        state=state,
        why=why,
        healthy_at=int(sum(ups)),
        balancers=len(ups),
        share=sum(shares) / len(shares) if shares else None,
        load=per_s / every if per_s is not None and every else None,
        per_s=per_s,
        in_flight=own.get("snapsurge_ingest_in_flight_requests") if own else None,
        bytes=own.get("snapsurge_ingest_in_flight_bytes") if own else None,
        bytes_max=own.get("snapsurge_ingest_in_flight_bytes_max") if own else None,
        # The slowest balancer's: a mean would hide a bad path.
        answer_s=max((answer for answer in answers if answer is not None), default=None),
        ejected=round(sum(one.ejected.get(name, 0.0) for one in fronts)),
        started=own.get("process_start_time_seconds") if own else None,
    )


def leader(seen: Sequence[Seen]) -> Seen | None:
    """The autoscaler that decides; of two, the one whose measurement is newer."""
    elected = [one for one in seen if one.get("snapsurge_autoscaler_elected")]
    return max(elected, key=lambda one: one.get("snapsurge_queue_measured_timestamp_seconds") or 0.0, default=None)


def _counted_before(one: Seen) -> bool:
    """Whether this same process told before of what is counted in Redis: a new one, or leader, tells of all times."""
    was, now = one.before.started if one.before else None, one.get(STARTED)
    # A start time is read only to a second or so (`SAME_START_S`).
    same = was is None or now is None or abs(now - was) <= SAME_START_S
    return same and one.before is not None and any(one.before.page.each(COUNTED))


def _emptied(one: Seen) -> bool:
    """Whether a counter that is kept in Redis fell."""
    if one.before is None or not _counted_before(one):
        return False
    return any(value > (one.get(COUNTED, **labels) or 0.0) for labels, value in one.before.page.each(COUNTED))


def queue(seen: Sequence[Seen], at: float) -> Queue | None:
    """The queue and the workers; None without a leader."""
    if (one := leader(seen)) is None:
        return None
    measured = one.get("snapsurge_queue_measured_timestamp_seconds")
    return Queue(
        leader=one.name,
        ready=one.get("snapsurge_queue_ready") or 0.0,
        leased=one.get("snapsurge_queue_leased") or 0.0,
        deferred=one.get("snapsurge_queue_deferred") or 0.0,
        oldest_s=one.get("snapsurge_queue_oldest_seconds") or 0.0,
        workers=one.get("snapsurge_workers") or 0.0,
        desired=one.get("snapsurge_workers_desired") or 0.0,
        dead=one.get("snapsurge_dead_letters") or 0.0,
        lapsed=round(one.rise.total(COUNTED, event="lapsed")) if _counted_before(one) else 0,
        emptied=_emptied(one),
        lost=round(one.rise.total("snapsurge_swept_lost_total")),
        behind_s=one.get("snapsurge_sweep_behind_seconds") or 0.0,
        measured_ago_s=max(at - measured, 0.0) if measured else None,
        tiers={labels.get("tier", ""): int(value) for labels, value in one.each("snapsurge_tier_desired") if value},
    )


def shards(seen: Sequence[Seen]) -> tuple[Shard, ...]:
    """Every Redis that the leader knows, by name; the memory of one that does not answer is not known."""
    if (one := leader(seen)) is None:
        return ()
    return tuple(
        Shard(
            name=labels.get("shard", ""),
            up=bool(value),
            bytes=one.get("snapsurge_redis_memory_bytes", **labels) if value else None,
            bytes_max=one.get("snapsurge_redis_memory_max_bytes", **labels) if value else None,
        )
        for labels, value in sorted(one.each("snapsurge_redis_up"), key=lambda each: each[0].get("shard", ""))
    )
