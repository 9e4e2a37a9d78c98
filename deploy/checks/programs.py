"""Judges the programs: reachable and ready, the same code, settings and secrets, one ring, right clocks, room. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from .facts import About, Facts, Program
from .verdict import Check, judged, listed


class Signer(NamedTuple):
    """A secret: the kind of program that signs with which setting, and the kind that accepts which one."""

    name: str
    kind: str
    setting: str
    taker: str
    accepted: str
    optional: bool = False


HEALTHY: Final = "healthy"
CLOCKS_MS_MAX: Final = 100.0  # A user is late by the clocks of two machines: that of a balancer and the moment's.
CERTIFICATE_DAYS_MIN: Final = 14  # Tools renew a month before the end, so they have failed for a fortnight.
DAY_S: Final = 86400.0
# Settings that programs of different kinds must share, by their name; within a kind all that a program tells of.
SHARED: Final = (
    *("SNAPSURGE_STORE_URL", "SNAPSURGE_REDIS_URL", "SNAPSURGE_SHARD_URLS"),
    *("SNAPSURGE_INGEST_PHOTO_BYTES_MAX", "SNAPSURGE_STORAGE_DECODE_BYTES_MAX"),
)
# Who signs with a secret, and who must accept that; a stamp is not needed where nodes believe addresses.
SIGNERS: Final = (
    Signer("ring-seed", "balancer", "SNAPSURGE_LB_RING_SEED", "balancer", "SNAPSURGE_LB_RING_SEED"),
    Signer("ticket-secret", "balancer", "SNAPSURGE_LB_TICKET_SECRET", "balancer", "SNAPSURGE_LB_TICKET_SECRET"),
    Signer("stamp-secret", "balancer", "SNAPSURGE_LB_STAMP_SECRET", "node", "SNAPSURGE_INGEST_STAMP_SECRET", True),
    Signer("auth-secret", "node", "SNAPSURGE_AUTH_SECRET", "node", "SNAPSURGE_AUTH_SECRET"),
    Signer("link-secret", "node", "SNAPSURGE_INGEST_LINK_SECRET", "node", "SNAPSURGE_INGEST_LINK_SECRET"),
)


def judge(facts: Facts) -> Iterator[Check]:
    """All checks of programs."""
    yield reachable(facts, "balancer")
    yield reachable(facts, "node")
    yield nodes_seen(facts)
    yield members(facts)
    yield homes(facts)
    yield code(facts)
    yield settings(facts)
    yield from secrets(facts)
    yield weak(facts)
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


def nodes_seen(facts: Facts) -> Check:
    """Every balancer considers every node healthy."""
    wrong = [
        f"{one.name} sees node {row.id} as {row.state}{f' ({row.reason})' if row.reason else ''}"
        for one in facts.of("balancer")
        for row in one.rows
        if row.state != HEALTHY
    ]
    return judged(
        "nodes-healthy",
        wrong,
        found=f"{len({row.id for one in facts.of('balancer') for row in one.rows})} nodes, healthy at every balancer",
        wanted="every balancer considers every node healthy",
        remedy="start or undrain that node; while balancers differ, look at the network between the two",
        untold=_untold(facts, "balancer"),
    )


def members(facts: Facts) -> Check:
    """All balancers know the same nodes at the same addresses."""
    groups = _groups((one.name, " ".join(f"{k}={v}" for k, v in about.members.items())) for one, about in _lbs(facts))
    return judged(
        "members",
        _unlike(groups),
        found=f"{len(next(iter(groups), '').split())} nodes, the same at {len(_lbs(facts))} balancers",
        wanted="all balancers know the same nodes",
        remedy="give all balancers one SNAPSURGE_REDIS_URL and the same --node options; undo changes made by hand "
        "(POST /nodes/ID/…)",
        untold=_untold(facts, "balancer"),
    )


def homes(facts: Facts) -> Check:
    """All balancers place the same keys at the same nodes."""
    groups = _groups((one.name, about.homes) for one, about in _lbs(facts))
    return judged(
        "homes",
        _unlike(groups),
        found=f"{len(_lbs(facts))} balancers agree",
        wanted="all balancers agree on the home node of 10,000 keys",
        remedy="give all balancers one SNAPSURGE_LB_RING_SEED, one SNAPSURGE_LB_RING_SLOTS and the same nodes",
        untold=_untold(facts, "balancer"),
    )


def code(facts: Facts) -> Check:
    """Programs that run a package run the same version of it."""
    found: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for one, about in facts.telling():
        for package, digest in about.code.items():
            found[package].append((one.name, digest))
    wrong = [f"{package}: {text}" for package, rows in found.items() for text in _unlike(_groups(rows))]
    told = ", ".join(f"{package} {rows[0][1]} at {len(rows)}" for package, rows in sorted(found.items()))
    return judged(
        "versions",
        wrong,
        found=told,
        wanted="all programs run the same code",
        remedy="finish the rollout, or restart the programs that still run the older code",
        untold="" if found else "no program told its version",
    )


def settings(facts: Facts) -> Check:
    """Settings that must be the same are the same."""
    by_kind: dict[str, dict[str, list[tuple[str, str]]]] = defaultdict(lambda: defaultdict(list))
    for one, about in facts.telling():
        for name, value in about.settings.items():
            by_kind["" if name in SHARED else one.kind][name].append((one.name, value))
    wrong = [
        f"{name}: {text}"
        for rows in by_kind.values()
        for name, values in rows.items()
        for text in _unlike(_groups(values), shown=True)
    ]
    count = sum(len(rows) for rows in by_kind.values())
    return judged(
        "settings",
        wrong,
        found=f"{count} settings, the same wherever they must be",
        wanted="limits, addresses and policies are the same in all programs that have them",
        remedy="set the same value for all of them, and restart those that have another one",
        untold="" if count else "no program told its settings",
    )


def secrets(facts: Facts) -> Iterator[Check]:
    """What one program signs, every other one accepts; secrets are compared by their fingerprints."""
    for secret in SIGNERS:
        signers, takers = facts.telling(secret.kind), facts.telling(secret.taker)
        wrong = [
            f"{taker.name} does not accept what {signer.name} signs"
            for signer, about in signers
            for taker, other in takers
            if _refused(about, other, secret)
        ]
        both, names = {secret.kind, secret.taker}, {secret.setting, secret.accepted}
        yield judged(
            secret.name,
            wrong,
            found="the same everywhere (by fingerprint)",
            wanted=f"one {' and '.join(sorted(names))} for all {'s and '.join(sorted(both))}s",
            remedy="set the same one for all of them (while it is replaced: `new,old`), and restart those that have "
            "another one",
            untold="" if signers and takers else "no program told a fingerprint",
        )


def _refused(signer: About, taker: About, secret: Signer) -> bool:
    """Whether the one does not accept what the other signs; without a secret nothing is signed."""
    signs, accepted = signer.secrets.get(secret.setting, []), taker.secrets.get(secret.accepted, [])
    if not accepted:
        return bool(signs) and not secret.optional
    return not signs or signs[0] not in accepted


def weak(facts: Facts) -> Check:
    """No secret is one that everybody knows or can guess."""
    wrong = [f"{one.name}: {name}" for one, about in facts.telling() for name in about.weak]
    return judged(
        "secrets",
        wrong,
        found="none is for development",
        wanted="no secret is public, made for development, or short enough to be guessed",
        remedy="make secrets with `openssl rand -hex 32`, set them for all programs, and restart these",
        untold="" if facts.telling() else "no program told of its secrets",
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
        wrong = [found] if apart - unsure > CLOCKS_MS_MAX else []
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
    """TLS certificates are valid for `CERTIFICATE_DAYS_MIN` more days."""
    days = {
        one.name: (about.certificate_ends_s - facts.now_s) / DAY_S
        for one, about in _lbs(facts)
        if about.certificate_ends_s is not None
    }
    wrong = [f"{name}: {left:.1f} days left" for name, left in days.items() if left < CERTIFICATE_DAYS_MIN]
    told = f"{min(days.values(), default=0):.0f} days left" if days else "no balancer ends TLS: what is in front does"
    return judged(
        "certificates",
        wrong,
        found=told,
        wanted=f"certificates are valid for {CERTIFICATE_DAYS_MIN} days or more",
        remedy="renew the certificate now, and mend what should have; balancers read new files without a restart",
        untold=_untold(facts, "balancer"),
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


def _lbs(facts: Facts) -> tuple[tuple[Program, About], ...]:
    return facts.telling("balancer")


def _untold(facts: Facts, kind: str) -> str:
    """Why something cannot be told of programs of a kind; empty if one told of itself."""
    return "" if facts.telling(kind) else f"no {kind} told of itself"


def _groups(rows: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """The names that have the same value, by value, the most common first."""
    found: dict[str, list[str]] = defaultdict(list)
    for name, value in rows:
        found[value].append(name)
    return dict(sorted(found.items(), key=lambda one: -len(one[1])))


def _unlike(groups: Mapping[str, list[str]], *, shown: bool = False) -> list[str]:
    """What to say of groups that should be one: who differs from the first, with their values if `shown`."""
    if len(groups) < 2:
        return []
    (common, many), *others = groups.items()
    found = []
    for value, few in others:
        differs = f"have {value!r}, {listed(many, 2)} {common!r}" if shown else f"differ from {listed(many, 2)}"
        found.append(f"{listed(few, 3)} {differs}")
    return found
