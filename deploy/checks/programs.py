"""Judges each program: reachable and ready, its clock, its certificate, its descriptors. Pure."""

from collections.abc import Iterator
from typing import Final

from .facts import Facts
from .verdict import Check, judged, listed

HEALTHY: Final = "healthy"
CLOCKS_MS_MAX: Final = 100.0  # A user is late by the clocks of two machines: that of a balancer and the moment's.
CERTIFICATE_DAYS_MIN: Final = 14  # Tools renew a month before the end, so they have failed for a fortnight.
DAY_S: Final = 86400.0


def judge(facts: Facts) -> Iterator[Check]:
    """All checks of programs."""
    yield reachable(facts, "balancer")
    yield reachable(facts, "node")
    yield listeners(facts)
    yield nodes_seen(facts)
    yield clocks(facts)
    yield certificates(facts)
    yield files(facts)


def reachable(facts: Facts, kind: str) -> Check:
    """Every program of a kind answers and is ready."""
    found = facts.of(kind)
    wrong = [f"{one.name}: {one.error or one.unready}" for one in found if one.error or not one.ready]
    return judged(
        f"{kind}s",
        wrong if found else [f"no {kind} is known"],
        found=f"{len(found)} ready: {listed([one.name for one in found])}",
        wanted=f"every {kind} is reachable and ready",
        remedy=f"look into the log of the {kind} that is named, start it again, or take it out of the stack",
    )


def listeners(facts: Facts) -> Check:
    """Every worker and autoscaler that is known answers."""
    found = [one for kind in ("autoscaler", "worker") for one in facts.of(kind)]
    return judged(
        "listeners",
        [f"{one.kind} {one.name}: {one.error}" for one in found if one.error],
        found=f"{len(found)} answer" if found else "none of an autoscaler or a worker is known",
        wanted="every autoscaler and worker that is known answers, so that its code and settings can be compared",
        remedy="look into the log of the one that is named, start it again, or take it out of the stack",
    )


def nodes_seen(facts: Facts) -> Check:
    """Every balancer considers every node healthy, and those that are named are among them."""
    wrong = [
        f"{one.name} sees node {row.id} as {row.state}{f' ({row.reason})' if row.reason else ''}"
        for one in facts.of("balancer")
        for row in one.rows
        if row.state != HEALTHY
    ]
    known = {text for one in facts.of("balancer") for row in one.rows for text in (row.id, row.address)}
    # Without a balancer that answers, that no balancer knows a node says nothing of the node.
    if not facts.silent("balancer"):
        wrong += [
            f"no balancer knows node {one.name}" for one in facts.of("node") if not known & {one.name, one.address}
        ]
    return judged(
        "nodes-healthy",
        wrong,
        found=f"{len({row.id for one in facts.of('balancer') for row in one.rows})} nodes, healthy at every balancer",
        wanted="every balancer considers every node healthy",
        remedy="start or undrain that node; while balancers differ, check the network between the two; a node that no "
        "balancer knows uses another SNAPSURGE_REDIS_URL, or is missing from their --node",
        untold=facts.silent("balancer"),
    )


def clocks(facts: Facts) -> Check:
    """The clocks of all programs' machines and of Redis are within `CLOCKS_MS_MAX` of each other."""
    read = [(one.name, one.ahead_ms, one.unsure_ms) for one, _ in facts.telling()]
    read += [(f"Redis {one.name}", one.ahead_ms, one.unsure_ms) for one in facts.inspection.redis if not one.error]
    wrong, untold, apart = [], "no clock was read", 0.0
    if read:
        first, last = min(read, key=lambda one: one[1]), max(read, key=lambda one: one[1])
        apart, unsure = last[1] - first[1], first[2] + last[2]
        found = f"{last[0]} is {apart:.0f} ms ahead of {first[0]}"
        # Only what is certain is an error; what may be one is "could not tell".
        wrong = [found] if apart - unsure > CLOCKS_MS_MAX else []
        # Two clocks that are each read to half of the limit can be compared at the limit.
        vague = [name for name, _, unsure_ms in read if unsure_ms > CLOCKS_MS_MAX / 2]
        untold = f"answers took too long to read the clock of {listed(vague)}" if vague else ""
        untold = untold or (f"{found}, give or take {unsure:.0f} ms" if apart + unsure > CLOCKS_MS_MAX else "")
    return judged(
        "clocks",
        wrong,
        found=f"{len(read)} clocks, at most {apart:.0f} ms apart",
        wanted=f"all clocks within {CLOCKS_MS_MAX:.0f} ms, because lateness depends on them",
        remedy="start chrony or systemd-timesyncd on that machine; `chronyc tracking` shows how far it is off",
        untold=untold,
    )


def certificates(facts: Facts) -> Check:
    """TLS certificates are valid now, and for `CERTIFICATE_DAYS_MIN` more days."""
    days = {
        one.name: (about.certificate_ends_s - facts.now_s) / DAY_S
        for one, about in facts.telling("balancer")
        if about.certificate_ends_s is not None
    }
    wrong = [f"{name}: {left:.1f} days left" for name, left in days.items() if left < CERTIFICATE_DAYS_MIN]
    wrong += [
        f"{one.name}: not valid for another {early_s / 3600:.1f} hours"
        for one, about in facts.telling("balancer")
        if about.certificate_begins_s is not None and (early_s := about.certificate_begins_s - facts.now_s) > 0
    ]
    told = f"{min(days.values(), default=0):.0f} days left" if days else "no balancer ends TLS: what is in front does"
    return judged(
        "certificates",
        wrong,
        found=told,
        wanted=f"certificates are valid now, and for {CERTIFICATE_DAYS_MIN} days or more",
        remedy="renew the certificate now and fix automatic renewal; balancers read new files without a restart; if it "
        "is not valid yet, check the clock of the machine that issued it, too",
        untold=facts.silent("balancer"),
    )


def files(facts: Facts) -> Check:
    """Each program may open as many files and connections as its limits can need."""
    told = facts.telling()
    wrong = [
        f"{one.name}: {about.files_max:,}, its limits can need {about.files_needed:,}"
        for one, about in told
        if about.files_max < about.files_needed
    ]
    return judged(
        "file-descriptors",
        wrong,
        found=f"enough at {len(told)} programs",
        wanted="as many file descriptors as connections and uploads can need",
        remedy="raise the limit (LimitNOFILE= in systemd, `ulimit -n`), or lower SNAPSURGE_LB_CONNECTIONS_MAX or "
        "SNAPSURGE_INGEST_IN_FLIGHT_REQUESTS_MAX",
        untold="" if told else "no program told its limit",
    )
