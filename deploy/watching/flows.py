"""Uploads a second, from what balancers and nodes counted. Pure."""

from collections.abc import Sequence
from typing import Final

from .quantiles import Buckets, merged
from .rounds import Seen, summed
from .view import Flow

# The refusals that carry a ticket.
SHED_STATUSES: Final = frozenset({"502", "503", "504", "507"})
ANSWERS: Final = "snapsurge_ingest_requests_total"
IN_FLIGHT: Final = "snapsurge_ingest_in_flight_requests"


def flow(seen: Sequence[Seen], late: float | None) -> Flow:
    """The rates of one round; `late` posts a second come from the moment's exact counts."""
    nodes = [one for one in seen if one.tier == "node"]
    fronts = [one for one in seen if one.tier == "balancer"]
    shed, heads = shed_per_s(seen), heads_per_s(seen)
    accepted = summed(one.per_s("snapsurge_posts_total", outcome="accepted") for one in nodes)
    return Flow(
        # At least what ended: an aborted upload is subtracted when its client leaves, so in a round more uploads may
        # end than began. A sum over a burst is one of heads.
        offered=None if heads is None else max(heads, (accepted or 0.0) + (shed or 0.0)),
        accepted=accepted,
        shed=shed,
        late=late,
        back=summed(one.per_s("snapsurge_lb_tickets_total", outcome="honoured") for one in fronts),
    )


def shed_per_s(seen: Sequence[Seen]) -> float | None:
    """Uploads a second that were refused with a ticket."""
    if fronts := [one for one in seen if one.tier == "balancer"]:
        # Balancers count their tickets, a node's refusals included.
        return summed(one.per_s("snapsurge_lb_tickets_total", outcome="given") for one in fronts)
    return summed(one.per_s("snapsurge_posts_total", outcome="shed") for one in seen if one.tier == "node")


def heads_per_s(seen: Sequence[Seen]) -> float | None:
    """Heads of uploads a second, less those whose client left."""
    taken = summed(_taken(one) for one in seen if one.tier == "node")
    # Since the last reading: answers, shed, and by how much the uploads in flight increased.
    return None if taken is None else taken + (shed_per_s(seen) or 0.0)


def _taken(one: Seen) -> float | None:
    """Uploads a second that a node answered other than by shedding them, or that are in flight since."""
    if one.rise.seconds <= 0:
        return None
    answered = sum(
        value
        for labels, value in one.rise.each(ANSWERS)
        if labels.get("route") == "upload" and labels.get("status") not in SHED_STATUSES
    )
    before = one.before.page.get(IN_FLIGHT) if one.before else 0.0
    return (answered + (one.get(IN_FLIGHT) or 0.0) - (before or 0.0)) / one.rise.seconds


def histogram(seen: Sequence[Seen], name: str) -> Buckets:
    """What the buckets of a histogram gained in this round, over all programs."""
    return merged(bucket for one in seen for bucket in one.rise.each(name) if "le" in bucket[0])
