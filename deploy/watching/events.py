"""What happened between two views, in words. Pure."""

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from . import view
from .differences import STARTED
from .problems import UNMEASURED, uncounted
from .rounds import Seen
from .view import Balancer, Event, Moment, Node, Queue, View

EMPTIED: Final = "Redis has lost data: what it counted of the queue began anew; the sweeper queues what is missing"
TOLD_MAX: Final = 3  # Programs that left in a round: of more the number is told.


class Known(msgspec.Struct, frozen=True):
    """What events follow from: a view, all moments by id, and workers and autoscalers by name."""

    view: View
    moments: Mapping[str, Moment]
    programs: Mapping[str, Seen]


def events(was: Known, now: Known) -> list[Event]:
    """The events, each with the time of the later view."""
    before, after = was.view, now.view
    since_s = after.moment.since_s if after.moment else None
    found = (
        *_moments(was.moments, now.moments),
        *_nodes(before, after),
        *_balancers(before, after),
        *_programs(was.programs, now.programs),
        *_queue(before.queue, after.queue),
        *_store(before, after),
    )
    return [Event(at=after.at, words=words, kind=kind, since_s=since_s) for kind, words in found]


def _moments(before: Mapping[str, Moment], after: Mapping[str, Moment]) -> Iterator[tuple[str, str]]:
    for name, one in sorted(after.items(), key=lambda each: each[1].fires_at):
        if (was := before.get(name)) is None:
            yield "note", f"moment {name} {_stands(one)}"
        elif was.phase != one.phase:
            counts = f": {one.posts['accepted']} accepted so far" if "accepted" in one.posts else ""
            yield "note", f"moment {name} " + ("fires" if one.phase == "open" else f"closes{counts}")
        elif was.fires_at != one.fires_at:
            yield "note", f"moment {name} was moved: it {_stands(one)}"
        if was is not None and was.uncounted != one.uncounted:
            yield (
                ("bad", uncounted(name))
                if one.uncounted
                else ("good", f"the counts of moment {name} are complete again")
            )
    for name in sorted(before.keys() - after.keys()):
        # One that has fired is not cancelled; the autoscaler forgets it when it is long over.
        if before[name].phase == "before":
            yield "note", f"moment {name} is cancelled: the autoscaler knows it no more"


def _stands(moment: Moment) -> str:
    return {"before": f"fires in {-moment.since_s:.0f} s", "open": "is open", "closed": "is over"}[moment.phase]


def _nodes(before: View, after: View) -> Iterator[tuple[str, str]]:
    old = {node.name: node for node in before.nodes}
    for node in after.nodes:
        if (was := old.pop(node.name, None)) is None:
            yield "note", f"node {node.name} joined"
        else:
            yield from _node(was, node)
    for was in old.values():
        yield _gone(f"node {was.name}", silent=was.state == view.SILENT)


def _gone(name: str, *, silent: bool) -> tuple[str, str]:
    if silent:
        return "bad", f"{name} does not answer and is no longer announced: it hangs or has crashed"
    return "note", f"{name} left"


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
    for was in old.values():
        yield _gone(f"balancer {was.name}", silent=was.state == view.SILENT)


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


def _programs(before: Mapping[str, Seen], after: Mapping[str, Seen]) -> Iterator[tuple[str, str]]:
    """Of workers and autoscalers; those that join are told by their number."""
    for name, one in after.items():
        if (was := before.get(name)) is None:
            continue
        if (was.page is None) != (one.page is None):
            yield (
                ("bad", f"{name} does not answer: {one.why}") if one.page is None else ("good", f"{name} answers again")
            )
        if _another(was.get(STARTED), one.get(STARTED)):
            yield "bad", f"{name} is another process: it restarted"
    gone = [one for name, one in before.items() if name not in after]
    # Workers come and go by the dozen when a moment is over.
    yield from (_gone(one.name, silent=one.page is None) for one in gone[:TOLD_MAX])
    if gone[TOLD_MAX:]:
        yield "note", f"{len(gone) - TOLD_MAX} more programs left"


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
    if after.workers < before.workers and after.workers < after.desired:
        there = f"workers: {after.workers:.0f} there, before {before.workers:.0f}"
        yield "bad", f"{there}; {after.desired:.0f} are wanted: some were lost, or do not answer"
    if before.desired != after.desired:
        yield "note", f"workers: {after.desired:.0f} wanted, before {before.desired:.0f} ({after.workers:.0f} there)"
    for tier in sorted(before.tiers.keys() | after.tiers.keys()):
        old, new = before.tiers.get(tier, 0), after.tiers.get(tier, 0)
        if old != new:
            yield "note", f"ladder: {new} of tier {tier} wanted, before {old}"
    yield from _jobs(before, after)


def _jobs(before: Queue, after: Queue) -> Iterator[tuple[str, str]]:
    if after.emptied:
        yield "bad", EMPTIED
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
