"""Which input moves the answer most: each input is raised by a tenth, the others stay, and the answer is compared.

Pure.
"""

from typing import Any, Final

import msgspec

from .costs import Costs, Line, Tier
from .demand import Uploads, demand
from .plan import Case, cores

RAISE: Final = 1.1
INPUTS: Final = ("ready_s", "utilisation", "redis_utilisation", "views", "view_kb")


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """An input, and by how many percent the answer changes when the input is a tenth higher."""

    input: str
    percent: float


def effects(case: Case, slower_push: Uploads | None = None) -> tuple[Effect, ...]:
    """The effect of each input, the largest first; `slower_push`: the burst when the push takes a tenth longer."""
    asked = demand(case.uploads)
    bursts = {
        "pairs": asked.times(RAISE),
        "bytes of a pair": demand(case.uploads.changed(size=RAISE)),
        "uplinks": demand(case.uploads.changed(up=RAISE)),
    }
    if slower_push is not None:
        bursts["push_s"] = demand(slower_push)
    # The cores of all tiers at their peaks, not rounded to machines, so that small changes show. A figure of 10 % means
    # that the answer grows as the input does.
    before = cores(case, asked)
    after = {name: cores(case, burst) for name, burst in bursts.items()}
    after |= {name: cores(changed, asked) for name, changed in _raised(case).items()}
    found = [Effect(input=name, percent=round((value / before - 1) * 100, 2)) for name, value in after.items()]
    return tuple(sorted(found, key=lambda effect: -abs(effect.percent)))


def _raised(case: Case) -> dict[str, Case]:
    """The case with each cost and each aim a tenth higher."""
    costs, kind = case.costs, case.aims.store
    dear = {
        "CPU of a balancer": msgspec.structs.replace(costs, lb=dearer(costs.lb), lb_tls=dearer(costs.lb_tls)),
        "CPU of Redis": msgspec.structs.replace(costs, redis=dearer(costs.redis)),
    }
    for tier in ("node", "worker", "store"):
        if getattr(costs.stores[kind], tier) is not None:
            dear[f"CPU of a {tier}"] = _store_dearer(costs, kind, tier)
    found = {name: msgspec.structs.replace(case, costs=changed) for name, changed in dear.items()}
    for name in INPUTS:
        value = getattr(case.aims, name) * RAISE
        aims = msgspec.structs.replace(case.aims, **{name: min(value, 1.0) if "utilisation" in name else value})
        found[name] = msgspec.structs.replace(case, aims=aims)
    return found


def dearer(tier: Tier, times: float = RAISE) -> Tier:
    """A tier whose every phase costs so many times the CPU."""

    def line(found: Line | None) -> Any:  # noqa: ANN401 - None stays None
        return found and found.times(times)

    return msgspec.structs.replace(tier, upload=line(tier.upload), drain=line(tier.drain), read=line(tier.read))


def _store_dearer(costs: Costs, kind: str, tier: str) -> Costs:
    stores = costs.stores[kind]
    changed = msgspec.structs.replace(stores, **{tier: dearer(getattr(stores, tier))})
    return msgspec.structs.replace(costs, stores={**costs.stores, kind: changed})
