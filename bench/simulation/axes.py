"""How far a simulated burst goes along the axes of an extrapolation: arrivals, sizes, the fleet, the store, faults."""

from collections.abc import Sequence

import numpy as np

from .arrivals import Arrivals
from .faults import Fault
from .fleet import Fleet

PEAK_S = 10.0


def axes_of(arrivals: Arrivals, fleet: Fleet, faults: Sequence[Fault]) -> dict[str, float | str]:
    """The value on each axis."""
    return {
        "pairs": float(len(arrivals.arrives)),
        "peak_pairs_per_s": peak(arrivals),
        "pair_bytes": round(float(arrivals.bytes.mean())),
        "balancers": float(fleet.of("lb")),
        "nodes": float(fleet.of("node")),
        "workers": float(fleet.of("worker")),
        "cores": float(sum(kind.count * kind.cores for kind in fleet.machines.values())),
        "store": f"{fleet.store}{' with a limited link' if fleet.store_bytes_s else ''}",
        "faults": " ".join(sorted({fault.kind for fault in faults})) or "none",
    }


def peak(arrivals: Arrivals) -> float:
    """Arrivals a second in the busiest ten seconds."""
    if not len(arrivals.arrives):
        return 0.0
    until = np.searchsorted(arrivals.arrives, arrivals.arrives + PEAK_S)
    return round(float((until - np.arange(len(until))).max()) / PEAK_S, 2)
