"""Which input moves the answer most: each input is raised by a tenth, the others stay, and the answer is compared.

The answer is the cores of all tiers at their peaks (`plan.cores`), not rounded to machines, so that small changes show.
A figure of 10 % means that the answer grows as the input does. Pure.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from .costs import Costs, Line, Tier
from .plan import Case, cores

RAISE: Final = 1.1
INPUTS: Final = ("ready_s", "utilisation", "redis_utilisation", "views", "view_kb")


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """An input, and by how many percent the answer changes when the input is a tenth higher."""

    input: str
    percent: float


def effects(case: Case, more: Mapping[str, Case] | None = None) -> tuple[Effect, ...]:
    """The effect of each input, the largest first. `more`: cases that the caller has raised by a tenth, by name."""
    before = cores(case)
    raised = {**_raised(case), **(more or {})}
    found = [
        Effect(input=name, percent=round((cores(changed) / before - 1) * 100, 2)) for name, changed in raised.items()
    ]
    return tuple(sorted(found, key=lambda effect: -abs(effect.percent)))


def _raised(case: Case) -> dict[str, Case]:
    """The case with each input a tenth higher."""

    def burst(**change: float) -> Case:
        return msgspec.structs.replace(case, uploads=case.uploads.changed(**change))

    def cost(change: Callable[[Costs], Costs]) -> Case:
        return msgspec.structs.replace(case, costs=change(case.costs))

    found = {
        "pairs": burst(pairs=RAISE),
        "bytes of a pair": burst(size=RAISE),
        "uplinks": burst(up=RAISE),
        "CPU of a balancer": cost(
            lambda costs: msgspec.structs.replace(costs, lb=dearer(costs.lb), lb_tls=dearer(costs.lb_tls))
        ),
        "CPU of Redis": cost(lambda costs: msgspec.structs.replace(costs, redis=dearer(costs.redis))),
    }
    for tier in ("node", "worker", "store"):
        if getattr(case.costs.stores[case.aims.store], tier) is not None:
            found[f"CPU of a {tier}"] = cost(lambda costs, tier=tier: _store_dearer(costs, case.aims.store, tier))  # type: ignore[misc]
    for name in INPUTS:
        value = (
            min(getattr(case.aims, name) * RAISE, 1.0) if "utilisation" in name else getattr(case.aims, name) * RAISE
        )
        found[name] = msgspec.structs.replace(case, aims=msgspec.structs.replace(case.aims, **{name: value}))
    return found


def dearer(tier: Tier, times: float = RAISE) -> Tier:
    """A tier whose every phase costs so many times the CPU."""

    def line(found: Line | None) -> Any:  # noqa: ANN401 - None stays None
        if found is None:
            return None
        return msgspec.structs.replace(found, fixed_ms=found.fixed_ms * times, mb_ms=found.mb_ms * times)

    return msgspec.structs.replace(tier, upload=line(tier.upload), drain=line(tier.drain), read=line(tier.read))


def _store_dearer(costs: Costs, kind: str, tier: str) -> Costs:
    stores = costs.stores[kind]
    changed = msgspec.structs.replace(stores, **{tier: dearer(getattr(stores, tier))})
    return msgspec.structs.replace(costs, stores={**costs.stores, kind: changed})
