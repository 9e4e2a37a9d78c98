"""A plan as text: the table for a terminal, and the sheet of quotas to ask a cloud for. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from .hosts import Binding
from .plan import Answer, Plan, Shards, Store, Tier
from .sensitivity import Effect

BINDING_SHOWN: Final = 6
NAMES: Final = {"lb": "balancer", "node": "node", "worker": "worker"}
FIELD: Final = 3  # significant digits of a figure


def table(found: Plan, effects: Sequence[Effect]) -> list[str]:
    """The plan for a person: burst, tiers, store, what binds, the ladder, money, sensitivities."""
    return [
        *_burst(found),
        "",
        *_tiers(found),
        "",
        *_store(found),
        "",
        f"what binds first, of the planned machines: {_largest(found.largest, found.binding)}",
        *_binding(found.binding),
        *(_answer(found.target) if found.target else ()),
        "",
        "ladder (seconds from the moment: processes)",
        *_ladder(found),
        "",
        *_money(found),
        "",
        "cores of all tiers, when an input is 10 % higher",
        *(f"  {effect.input:<24} {effect.percent:+6.1f} %" for effect in effects),
    ]


def _largest(times: float, binding: Sequence[Binding]) -> str:
    """How much of the burst fits, or for what there is too little even without a burst."""
    if times:
        return f"{times:.2f} times this burst fits"
    # A need of the fleet itself comes first: it explains why nothing fits.
    full = next((one for one in binding if one.fixed and one.headroom < 1), binding[0])
    return f"nothing fits, too little for {full.resource}"


def number(value: float) -> str:
    """Three significant digits, whole from 100 on, with commas; less than a thousandth is said to be so."""
    if 0 < value < 0.001:
        return "<0.001"
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.{FIELD}g}"


def _burst(found: Plan) -> Iterable[str]:
    burst = found.burst
    yield (
        f"burst: {number(burst.pairs)} pairs of {number(burst.mean_pair_kb)} KB, {number(burst.pairs_s_peak)} begun "
        f"and {number(burst.received_s_peak)} received in the peak second"
    )
    yield (
        f"       {number(burst.mb_s_peak)} MB/s, {number(burst.in_flight_peak)} uploads in flight, which hold "
        f"{number(burst.held_mb_peak)} MB"
    )
    yield f"       no backlog after {burst.waited_s} s, the last pair received and ready after {burst.drained_s} s"


def _tiers(found: Plan) -> Iterable[str]:
    yield (
        f"{'':<10}{'machines':>9}{'processes':>10}{'at 0':>7}{'at peak':>8}{'draining':>9}{'cores':>8}"
        f"{'memory GiB':>11}{'Gbit/s':>8}{'files':>11}{'lead s':>8}{'buffer':>8}  decided by"
    )
    for tier, name in NAMES.items():
        one = found.tiers[tier]
        if isinstance(one, Tier):
            yield (
                f"{name:<10}{one.machines:>9,}{one.processes:>10,}{one.at_0:>7,}{one.at_peak:>8,}{one.draining:>9,}"
                f"{number(one.cpu_cores):>8}{number(one.memory_gib):>11}{number(one.nic_gbit):>8}{one.files:>11,}"
                f"{one.lead_s:>8.0f}{one.buffer:>8,}  {one.binds}"
            )
    redis = found.tiers["redis"]
    if isinstance(redis, Shards):
        yield (
            f"{'Redis':<10}{redis.machines:>9,}  {redis.shards:,} shards, each with a replica; "
            f"{number(redis.cpu_cores)} cores, {number(redis.memory_gib)} GiB; decided by {redis.binds}"
        )


def _store(found: Plan) -> Iterable[str]:
    store = found.tiers["store"]
    if isinstance(store, Store):
        machines = "" if store.machines is None else f"{store.machines:,} machines, {number(store.cpu_cores)} cores; "
        yield (
            f"store     {machines}{number(store.write_mb_s)} MB/s written, {number(store.read_mb_s)} MB/s read, "
            f"{number(store.puts_s)} PUT/s, {number(store.gets_s)} GET/s in {store.prefixes:,} prefixes"
        )
        yield f"          {number(store.gb_day)} GB a day, {number(store.gb_year)} GB a year"


def _binding(found: Sequence[Binding]) -> Iterable[str]:
    for one in found[:BINDING_SHOWN]:
        behind = one.headroom / found[0].headroom
        yield (
            f"  {one.resource:<32} {number(one.need):>9} of {number(one.limit):>9} {one.unit:<8} headroom "
            f"{one.headroom:.2f}{'' if one is found[0] else f', {behind:.2f} times the first'}"
        )


def _answer(found: Answer) -> Iterable[str]:
    yield ""
    yield (
        f"of the given machines: {_largest(found.largest, found.binding)}, {number(found.largest_pairs)} pairs; "
        f"this one: {'yes' if found.takes_it else 'NO'}; half as much again: {'yes' if found.takes_half_more else 'NO'}"
    )
    yield from _binding(found.binding)


def _ladder(found: Plan) -> Iterable[str]:
    for tier, name in NAMES.items():
        steps = ", ".join(f"{step.at_s}: {step.count:,}" for step in found.ladder if step.tier == tier)
        yield f"  {name:<10} {steps}"


def _money(found: Plan) -> Iterable[str]:
    money = found.money
    if money.moment is None or money.month is None:
        yield "money: no prices were given (--prices FILE)"
        return
    yield f"money: {number(money.moment)} {money.currency} a moment, {number(money.month)} {money.currency} a month"
    for line in money.lines:
        yield (
            f"  {line.item:<22} {number(line.quantity):>10} x {line.price:g} = {number(line.amount)} "
            f"({line.source}, {line.date})"
        )
    if money.not_priced:
        yield f"  not priced: {', '.join(money.not_priced)}"


def quotas(found: Plan, inputs: Mapping[str, object]) -> str:
    """What to ask a cloud for before the moment, as Markdown."""
    rows = [("quota", "ask for", "why")]
    for tier, name in NAMES.items():
        one = found.tiers[tier]
        if isinstance(one, Tier):
            cores = one.machines * int(str(inputs["cores"]))
            rows.append((f"{name}: instances", f"{one.machines:,}", f"{one.processes:,} processes, one a core at most"))
            rows.append((f"{name}: vCPUs", f"{cores:,}", f"{inputs['cores']} a machine"))
            if one.files:
                rows.append((f"{name}: open files a process", f"{inputs['files_max']}", "ulimit -n"))
    redis, store = found.tiers["redis"], found.tiers["store"]
    if isinstance(redis, Shards):
        rows.append(("Redis: instances", f"{redis.machines:,}", f"{redis.shards:,} shards, a replica each"))
    if isinstance(store, Store):
        rows += [
            ("store: PUT requests/s", number(store.puts_s), "ask for partitions before the moment, not during it"),
            ("store: GET requests/s", number(store.gets_s), "workers and viewers"),
            ("store: prefixes (partitions)", f"{store.prefixes:,}", "keys begin with two hex digits: 00 to ff"),
            ("store: MB/s written", number(store.write_mb_s), "from nodes and workers"),
            ("store: MB/s read", number(store.read_mb_s), "by workers and nodes"),
            ("store: GB a year", number(store.gb_year), "if nothing is deleted"),
        ]
    burst = found.burst
    rows += [
        ("load balancer: new connections/s", number(burst.pairs_s_peak), "one for each upload"),
        ("load balancer: connections", number(burst.in_flight_peak), "uploads in flight"),
        ("network in: Gbit/s", number(burst.mb_s_peak * 8e-3), "photos"),
    ]
    if "users" in inputs:
        rate = float(str(inputs["users"])) / max(1.0, float(str(inputs["push_s"])))
        rows.append(("push service: messages/s", number(rate), "all users within push_s; else the burst is another"))
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join(["# Quotas", "", lines[0], "|---|---:|---|", *lines[1:], ""])
