"""Judges the moment, the fleet, the queue, the store, the disk and the rehearsal. Pure."""

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from .facts import Facts
from .verdict import Check, judged, size

# Without a plan nobody knows what a moment needs: a tenth of the store, and 1 GiB at least.
FREE_PART_MIN: Final = 0.1
FREE_BYTES_MIN: Final = 2**30
# After a week code, settings or machines may be others.
REHEARSED_DAYS_MAX: Final = 7
SWEEP_BEHIND_S_MAX: Final = 120  # As the alert SnapsurgeSweeperBehind.
DAY_S: Final = 86400.0
SERVES: Final = "UP"


def judge(facts: Facts) -> Iterator[Check]:
    """All checks of services."""
    if facts.moment_id:
        yield moment(facts)
    yield fleet(facts)
    yield workers(facts)
    yield queue(facts)
    yield dead_letters(facts)
    yield sweeper(facts)
    yield store_writes(facts)
    yield store_endpoints(facts)
    yield store_settings(facts)
    yield store_space(facts)
    # The state directory exists only where the stack runs on this machine.
    if facts.disk:
        yield disk(facts)
    yield rehearsal(facts)


def moment(facts: Facts) -> Check:
    """The moment exists and has not fired."""
    found, why = facts.inspection.moment, facts.why("moment")
    wrong, told = [], ""
    if found:
        left_s = datetime.fromisoformat(found.fires_at).timestamp() - facts.now_s
        told = f"{found.id} in {found.region} fires in {left_s:,.0f} s, at {found.fires_at}"
        wrong = [] if left_s > 0 else [f"{found.id} fired {-left_s:,.0f} s ago"]
        wrong = [f"{found.id} was cancelled"] if found.cancelled else wrong
    elif facts.inspection.errors.get("moment"):
        wrong = [f"{facts.moment_id}: {why}"]
    return judged(
        "moment",
        wrong,
        found=told,
        wanted="the moment is in the store, is not cancelled and has not fired yet",
        remedy="create it (POST /v1/moments), or name the one that comes",
        untold="" if found else why,
    )


def fleet(facts: Facts) -> Check:
    """There are as many nodes and balancers as the ladder wants now."""
    have = {
        tier: len([one for one in facts.of(kind) if one.ready and not one.error])
        for tier, kind in (("node", "node"), ("lb", "balancer"))
    }
    scaling = facts.inspection.scaling
    # A tier that this check cannot count is taken as complete.
    short = {tier: count for tier, count in (scaling.tiers if scaling else {}).items() if have.get(tier, count) < count}
    planned = ", ".join(f"{tier} {count}" for tier, count in scaling.tiers.items()) if scaling else ""
    return judged(
        "fleet",
        [f"{have[tier]} of tier {tier} are ready, the ladder wants {count}" for tier, count in short.items()],
        found=f"{have['node']} nodes, {have['lb']} balancers; "
        + (f"the ladder wants {planned}" if planned else "there is no ladder"),
        wanted="an autoscaler that decides, and as many nodes and balancers as its ladder wants at this time",
        remedy="start what is missing, look after the autoscaler (its log, `snapsurge_autoscaler_elected`), or its "
        "ladder file",
        untold="" if scaling else facts.why("scaling"),
    )


def workers(facts: Facts) -> Check:
    """As many workers run as the autoscaler wants, which is never under their floor."""
    scaling, running = facts.inspection.scaling, facts.inspection.workers
    wrong = []
    if scaling and running is not None and running < scaling.desired:
        wrong = [f"{running} workers report to Redis, the autoscaler wants {scaling.desired}"]
    return judged(
        "workers",
        wrong,
        found=f"{running} workers run" + (f", {scaling.desired} are wanted" if scaling else ""),
        wanted="as many workers as the autoscaler wants (their floor, or those around a moment)",
        remedy="look into the autoscaler's and the workers' logs; machines may be missing for them",
        untold="" if scaling and running is not None else facts.why("workers" if scaling else "scaling"),
    )


def queue(facts: Facts) -> Check:
    """No job waits or runs."""
    found = facts.inspection.queue
    jobs = found.ready + found.leased + found.deferred if found else 0
    return judged(
        "queue",
        [f"{found.ready} jobs wait, {found.leased} run, {found.deferred} are put off"] if found and jobs else [],
        found="empty",
        wanted="the queue is empty, so that a moment begins with all workers",
        remedy="wait until it is drained; if it does not shrink, look at workers and store",
        untold="" if found else facts.why("queue"),
    )


def dead_letters(facts: Facts) -> Check:
    """No job was given up."""
    found = facts.inspection.queue
    return judged(
        "dead-letters",
        [f"{found.dead} jobs were given up"] if found and found.dead else [],
        found="none",
        wanted="no dead letters",
        remedy="`python -m processors dead list` shows them; requeue or purge each, once its cause is mended",
        untold="" if found else facts.why("queue"),
    )


def sweeper(facts: Facts) -> Check:
    """The sweeper keeps up: it queues again what Redis or a worker has lost."""
    told = [(one.name, one.sweep_behind_s) for one in facts.of("autoscaler") if one.sweep_behind_s is not None]
    known = facts.of("autoscaler")
    return judged(
        "sweeper",
        [f"{name} is {behind_s:.0f} s behind" for name, behind_s in told if behind_s > SWEEP_BEHIND_S_MAX],
        found=", ".join(f"{name} is {behind_s:.0f} s behind" for name, behind_s in told),
        wanted=f"the sweeper is at most {SWEEP_BEHIND_S_MAX} s behind",
        remedy="look into the autoscaler's log: the store or Redis does not answer it; with --url name the listener of "
        "an autoscaler, too",
        untold="" if told else "no autoscaler leads" if known else "no autoscaler is known",
    )


def store_writes(facts: Facts) -> Check:
    """Of racing conditional PUTs through all endpoints exactly one wins."""
    store = facts.inspection.store
    wrong = [text for text in (store.error, store.unfit) if text]
    return judged(
        "store-conditional-writes",
        # If `inspect` could not run, the store is not to blame: could not tell.
        wrong if not facts.inspection.error else [],
        found="of concurrent PUTs with If-None-Match and with If-Match one won each; they are deleted again",
        wanted="the store answers, and of racing conditional PUTs one wins",
        remedy="start the members that are missing; do not use a store that ignores conditions: posts would be lost",
        untold="" if store.raced else facts.why("store"),
    )


def store_endpoints(facts: Facts) -> Check:
    """Every endpoint of the store takes changes."""
    found = facts.inspection.store.endpoints
    return judged(
        "store-endpoints",
        [f"{url} is {state}" for url, state in found.items() if state != SERVES],
        found=f"{len(found)} endpoints serve" if found else "a folder, or AWS's own",
        wanted="every endpoint of the store takes changes",
        remedy="start that member, look at its disk and its network; half a minute after its return it serves",
        untold="" if facts.inspection.store.raced or found else facts.why("store"),
    )


def store_settings(facts: Facts) -> Check:
    """Versioning, lifecycle and object lock of the bucket delete nothing too early and keep nothing too long."""
    store = facts.inspection.store
    return judged(
        "store-settings",
        [*store.warnings],
        found="versioning fits the number of endpoints; no lifecycle rule or default retention affects posts",
        wanted="the bucket keeps versions exactly if the store has several endpoints, and no lifecycle rule or object "
        "lock affects posts",
        remedy="change the bucket's settings; if they are meant so, leave this check out (--without store-settings)",
        untold="" if store.raced or store.warnings else facts.why("store"),
    )


def store_space(facts: Facts) -> Check:
    """The store has room for the plan's moment, or without a plan a tenth of its size."""
    store, need = facts.inspection.store, facts.need_bytes
    free, whole = store.free_bytes, store.all_bytes or 0
    wanted_bytes = max(FREE_BYTES_MIN, FREE_PART_MIN * whole) if need is None else need
    short = free is not None and free < wanted_bytes
    told = "without a limit" if free is None else f"{size(free)} of {size(whole)} free"
    untold = facts.why("store") if not store.raced and free is None else ""
    # A store with a limit that it does not tell may be full.
    if free is None and store.raced and store.bounded:
        untold = "the store does not tell it"
    return judged(
        "store-space",
        [told] if short else [],
        found=told,
        wanted=f"{size(wanted_bytes)} free, " + ("a tenth of it" if need is None else "as the plan says for a moment"),
        remedy="add drives or delete old moments; where the store does not tell, allow `admin:Prometheus` to the keys, "
        "or look yourself and leave this check out (--without store-space)",
        untold=untold,
    )


def disk(facts: Facts) -> Check:
    """The disk of the state directory has room for logs and Redis."""
    found = facts.disk
    free, whole, path = (found.free_bytes, found.all_bytes, found.path) if found else (0, 0, "")
    wanted_bytes = max(FREE_BYTES_MIN, 0.05 * whole)
    told = f"{size(free)} of {size(whole)} free at {path}"
    return judged(
        "disk",
        [told] if free < wanted_bytes else [],
        found=told,
        wanted=f"{size(wanted_bytes)} free for logs and Redis",
        remedy="free space there, or move the state directory",
    )


def rehearsal(facts: Facts) -> Check:
    """The last rehearsal was good, and is young enough."""
    last = facts.rehearsal
    days = last.age_s / DAY_S
    wrong = [] if last.error else [] if last.passed else [f"{last.text}, {days:.1f} days ago"]
    if not last.error and last.passed and days > REHEARSED_DAYS_MAX:
        wrong = [f"{last.text}, but {days:.1f} days ago"]
    return judged(
        "rehearsal",
        # No rehearsal is no success: a stack that nobody has tried is a no-go.
        wrong or ([last.error] if last.error else []),
        found=f"{last.text}, {days:.1f} days ago",
        wanted=f"a rehearsal that passed, at most {REHEARSED_DAYS_MAX} days old",
        remedy="`python -m bench rehearse TRACE --matrix --json > DIR/rehearsal.json` beside stack.json, or name its "
        "report with --rehearsal",
    )


def _tier(tier: str) -> str:
    return "balancer" if tier == "lb" else tier
