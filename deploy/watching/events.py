"""What happened between two views, in words. Pure."""

from collections.abc import Iterator

from . import view
from .view import Balancer, Event, Moment, Node, Queue, View

UNMEASURED = "Redis does not answer the autoscaler: the numbers of the queue are old"


def events(before: View, after: View) -> list[Event]:
    """The events, each with the time of the later view."""
    since_s = after.moment.since_s if after.moment else None
    found = (
        *_moment(before.moment, after.moment),
        *_nodes(before, after),
        *_balancers(before, after),
        *_queue(before.queue, after.queue),
        *_store(before, after),
    )
    return [Event(at=after.at, words=words, kind=kind, since_s=since_s) for kind, words in found]


def _moment(before: Moment | None, after: Moment | None) -> Iterator[tuple[str, str]]:
    if after is None:
        if before is not None:
            yield "note", f"moment {before.id} is cancelled: the autoscaler knows it no more"
        return
    if before is None or before.id != after.id:
        word = {"before": f"fires in {-after.since_s:.0f} s", "open": "is open", "closed": "is over"}[after.phase]
        yield "note", f"moment {after.id} {word}"
    elif before.phase != after.phase:
        counts = f": {after.posts['accepted']} accepted so far" if "accepted" in after.posts else ""
        yield "note", f"moment {after.id} " + ("fires" if after.phase == "open" else f"closes{counts}")


def _nodes(before: View, after: View) -> Iterator[tuple[str, str]]:
    old = {node.name: node for node in before.nodes}
    for node in after.nodes:
        if (was := old.pop(node.name, None)) is None:
            yield "note", f"node {node.name} joined"
        else:
            yield from _node(was, node)
    for name in old:
        yield "note", f"node {name} left"


def _node(was: Node, node: Node) -> Iterator[tuple[str, str]]:
    name, healthy = node.name, f"healthy at {node.healthy_at} of {node.balancers} balancers"
    if node.ejected:
        yield "bad", f"node {name} ejected by a balancer; it is {healthy} now"
    if _another(was.started, node.started):
        yield "bad", f"node {name} is another process: it restarted"
    if node.state == was.state:
        return
    match node.state:
        case view.SILENT:
            yield "bad", f"node {name} does not answer: {node.why or 'no metrics'}"
        case view.DRAINING:
            yield "note", f"node {name} drains"
        case view.NOT_READY:
            yield "bad", f"node {name} is not ready: {node.why}"
        case view.UNHEALTHY if not node.ejected:
            yield "bad", f"node {name} is {healthy}"
        case view.STARTING:
            yield "good", f"node {name} is back, in slow start"
        case view.HEALTHY if was.state != view.STARTING:
            yield "good", f"node {name} is healthy again"


def _balancers(before: View, after: View) -> Iterator[tuple[str, str]]:
    old = {one.name: one for one in before.balancers}
    for one in after.balancers:
        if (was := old.pop(one.name, None)) is None:
            yield "note", f"balancer {one.name} joined"
        else:
            yield from _balancer(was, one)
    for name in old:
        yield "note", f"balancer {name} left"


def _balancer(was: Balancer, one: Balancer) -> Iterator[tuple[str, str]]:
    if _another(was.started, one.started):
        yield "note", f"balancer {one.name} is another process: it restarted"
    if one.state == was.state:
        return
    match one.state:
        case view.SILENT:
            yield "bad", f"balancer {one.name} does not answer"
        case view.DRAINING:
            yield "note", f"balancer {one.name} drains"
        case view.PANIC:
            yield "bad", f"panic mode at balancer {one.name}: more than half the weight is ejected, it ignores health"
        case _ if was.state == view.PANIC:
            yield "good", f"panic mode at balancer {one.name} is over"
        case _:
            yield "good", f"balancer {one.name} serves again"


def _queue(before: Queue | None, after: Queue | None) -> Iterator[tuple[str, str]]:
    if after is None:
        if before is not None:
            yield "bad", f"no autoscaler leads any more (it was {before.leader})"
        return
    if before is None:
        yield "note", f"autoscaler {after.leader} leads"
        return
    if before.stale != after.stale:
        yield ("bad", UNMEASURED) if after.stale else ("good", "Redis answers the autoscaler again")
    if before.leader != after.leader:
        yield "note", f"failover of the autoscaler: {after.leader} leads, before it {before.leader}"
    if before.desired != after.desired:
        yield "note", f"workers: {after.desired:.0f} wanted, before {before.desired:.0f} ({after.workers:.0f} there)"
    for tier in sorted(before.tiers.keys() | after.tiers.keys()):
        old, new = before.tiers.get(tier, 0), after.tiers.get(tier, 0)
        if old != new:
            yield "note", f"ladder: {new} of tier {tier} wanted, before {old}"
    yield from _jobs(before, after)


def _jobs(before: Queue, after: Queue) -> Iterator[tuple[str, str]]:
    if after.lapsed:
        yield "bad", f"{after.lapsed} jobs lost their worker, another one does them"
    if after.lost:
        yield "bad", f"the store has lost {after.lost} pairs: `python -m processors verify MOMENT` names them"
    if after.dead > before.dead:
        yield "bad", f"{after.dead - before.dead:.0f} jobs given up, {after.dead:.0f} dead letters are kept"


def _store(before: View, after: View) -> Iterator[tuple[str, str]]:
    was, now = (one.store.refused if one.store else {} for one in (before, after))
    yield from (("bad", f"the store refuses pairs: {cause}") for cause in sorted(now.keys() - was.keys()))
    yield from (("good", f"the store refuses no more: {cause}") for cause in sorted(was.keys() - now.keys()))
    if bool(after.flow.shed) != bool(before.flow.shed):
        yield ("bad", f"shedding: {after.flow.shed:.1f} a second") if after.flow.shed else ("good", "shedding is over")
    old = {shard.name: shard for shard in before.shards}
    for shard in after.shards:
        if shard.name in old and shard.up != old[shard.name].up:
            yield (
                ("good", f"Redis {shard.name} answers again")
                if shard.up
                else (
                    "bad",
                    f"Redis {shard.name} does not answer",
                )
            )


def _another(was: float | None, now: float | None) -> bool:
    return was is not None and now is not None and abs(now - was) > 1.5
