"""Judges what programs must agree on: members, homes of keys, code, settings, secrets. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_address, ip_network
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


# Settings that programs of different kinds must share, by their name; within a kind all that a program tells of.
SHARED: Final = (
    *("SNAPSURGE_STORE_URL", "SNAPSURGE_REDIS_URL", "SNAPSURGE_SHARD_URLS"),
    *("SNAPSURGE_INGEST_PHOTO_BYTES_MAX", "SNAPSURGE_STORAGE_DECODE_BYTES_MAX"),
)
TRUSTED: Final = "SNAPSURGE_INGEST_TRUSTED_PEERS"
# Who signs with a secret, and who must accept that; a stamp is not needed where nodes believe addresses.
SIGNERS: Final = (
    Signer("ticket-secret", "balancer", "SNAPSURGE_LB_TICKET_SECRET", "balancer", "SNAPSURGE_LB_TICKET_SECRET"),
    Signer("stamp-secret", "balancer", "SNAPSURGE_LB_STAMP_SECRET", "node", "SNAPSURGE_INGEST_STAMP_SECRET", True),
    Signer("auth-secret", "node", "SNAPSURGE_AUTH_SECRET", "node", "SNAPSURGE_AUTH_SECRET"),
    Signer("link-secret", "node", "SNAPSURGE_INGEST_LINK_SECRET", "node", "SNAPSURGE_INGEST_LINK_SECRET"),
)


def judge(facts: Facts) -> Iterator[Check]:
    """All checks of what is the same."""
    yield members(facts)
    yield homes(facts)
    yield code(facts)
    yield settings(facts)
    yield addresses(facts)
    yield ring_seed(facts)
    yield from secrets(facts)
    yield weak(facts)


def members(facts: Facts) -> Check:
    """All balancers know the same nodes at the same addresses."""
    groups = _groups(
        (one.name, " ".join(f"{k}={v}" for k, v in about.members.items())) for one, about in facts.telling("balancer")
    )
    return judged(
        "members",
        _unlike(groups),
        found=f"{len(next(iter(groups), '').split())} nodes, the same at {len(facts.telling('balancer'))} balancers",
        wanted="all balancers know the same nodes",
        remedy="give all balancers one SNAPSURGE_REDIS_URL and the same --node options; undo changes made by hand "
        "(POST /nodes/ID/…)",
        untold=facts.silent("balancer"),
    )


def homes(facts: Facts) -> Check:
    """All balancers place the same keys at the same nodes."""
    groups = _groups((one.name, about.homes) for one, about in facts.telling("balancer"))
    return judged(
        "homes",
        _unlike(groups),
        found=f"{len(facts.telling('balancer'))} balancers agree",
        wanted="all balancers agree on the home node of 10,000 keys",
        remedy="give all balancers one SNAPSURGE_LB_RING_SEED, one SNAPSURGE_LB_RING_SLOTS and the same nodes",
        untold=facts.silent("balancer"),
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
            # A shared setting is compared over all kinds of programs, any other one within its kind.
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


def addresses(facts: Facts) -> Check:
    """Store and Redis that were looked at are those that the programs use."""
    looked_at, told = facts.inspection.addresses, facts.telling()
    wrong = [
        f"{one.name} uses {name} {about.settings[name]!r}, but this check inspected {text!r}"
        for name, text in looked_at.items()
        for one, about in told
        # A program that does not tell the setting does not use it.
        if about.settings.get(name, text) != text
    ]
    return judged(
        "addresses",
        wrong,
        found=", ".join(text for text in looked_at.values() if text),
        wanted="store and Redis that were looked at are those of the programs",
        remedy="set SNAPSURGE_STORE_URL, SNAPSURGE_REDIS_URL and SNAPSURGE_SHARD_URLS for this command as the programs "
        "have them; if it is the same under another name, leave this check out (--without addresses)",
        # Without either side there is nothing to compare, which is no success.
        untold="" if looked_at and told else facts.inspection.error or "no program told what it uses",
    )


def ring_seed(facts: Facts) -> Check:
    """All balancers have one seed, compared by its fingerprint."""
    groups = _groups(
        (one.name, " ".join(about.secrets.get("SNAPSURGE_LB_RING_SEED", [])))
        for one, about in facts.telling("balancer")
    )
    return judged(
        "ring-seed",
        _unlike(groups),
        found="the same everywhere (by fingerprint)",
        wanted="one SNAPSURGE_LB_RING_SEED for all balancers",
        remedy="set the same one for all of them, and restart those that have another one: it moves their users",
        untold=facts.silent("balancer"),
    )


def secrets(facts: Facts) -> Iterator[Check]:
    """What one program signs, every other one accepts; secrets are compared by their fingerprints."""
    for secret in SIGNERS:
        signers, takers = facts.telling(secret.kind), facts.telling(secret.taker)
        wrong = [
            f"{taker.name} does not accept what {signer.name} signs"
            for signer, about in signers
            for taker, other in takers
            if _refused(about, taker, other, secret)
        ]
        both, names = {secret.kind, secret.taker}, {secret.setting, secret.accepted}
        yield judged(
            secret.name,
            wrong,
            found="the same everywhere (by fingerprint)",
            wanted=f"one {' and '.join(sorted(names))} for all {'s and '.join(sorted(both))}s",
            remedy="set the same one for all of them (while it is replaced: `new,old`), and restart those that have "
            "another one" + (f", or let {TRUSTED} have the networks of the balancers" if secret.optional else ""),
            untold="" if signers and takers else "no program told a fingerprint",
        )


def _refused(signer: About, taker: Program, about: About, secret: Signer) -> bool:
    """Whether the one does not accept what the other signs; without a secret nothing is signed."""
    signs, accepted = signer.secrets.get(secret.setting, []), about.secrets.get(secret.accepted, [])
    if not accepted:
        # A node without a stamp secret may still know balancers by TRUSTED_PEERS. Any other secret that one signs with
        # and one does not have is a fault.
        return not _believes_addresses(taker.address, about) if secret.optional else bool(signs)
    # Of `new,old` the first one signs, and each is accepted.
    return not signs or signs[0] not in accepted


def _believes_addresses(address: str, about: About) -> bool:
    """Whether a node can know balancers by their addresses: it trusts networks they may be in."""
    networks = [ip_network(one.strip()) for one in about.settings.get(TRUSTED, "").split(",") if one.strip()]
    host = address.rpartition(":")[0].strip("[]")
    try:
        reached = ip_address(host)
    except ValueError:  # A name, or not known.
        return bool(networks)
    # Who connects to an address that is not loopback does not come from loopback.
    return any(not one.is_loopback or reached.is_loopback for one in networks)


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
