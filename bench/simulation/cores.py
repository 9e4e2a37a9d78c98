"""How the cores of each machine are shared in a tick between what serves uploads and the workers.

Demand is that of the tick before, with what it left undone.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from .world import Floats, Indices, World

# Workers run at nice 5 (`deploy/plan.py`), so the kernel gives them 335 parts for each 1,024 of a program of the upload
# path (sched(7)).
UPLOAD_WEIGHT: Final = 1024.0
WORKER_WEIGHT: Final = 335.0


class Cores:
    """All machines: cores, programs of the upload path, and cores that something beside the burst uses."""

    def __init__(self, cores: Floats, servers: Floats, beside: Floats) -> None:
        self._cores, self._servers, self._beside = cores, np.maximum(servers, 1.0), beside
        self._watching = np.zeros(len(cores))
        self.backlog = np.zeros(len(cores))

    def watch(self, machines: Sequence[int], cores: float) -> None:
        """The cores that polls use in the tick that begins, on these machines together."""
        self._watching[machines] = cores / max(len(machines), 1)

    def share(self, w: World, tick_s: float, running: Indices) -> None:
        """Set each machine's speeds for the tick that begins; `running` workers of each have a job."""
        machines = w.machines
        wanted = self.backlog + machines["work"]
        # Every program has one thread that works: none gets more than a core.
        most = np.minimum(wanted, self._servers * tick_s)
        # A rehearsal on the same machines uses their cores too: it polls for pictures that are ready (`watching.py`).
        there = np.maximum(self._cores - self._beside - self._watching, 0.05) * tick_s
        renders = running * tick_s
        parts = UPLOAD_WEIGHT * most / tick_s
        owed = there * parts / np.maximum(parts + WORKER_WEIGHT * running, 1e-9)
        # Who asks for less than his part leaves the rest to the others.
        uploads = np.minimum(most, np.maximum(there - renders, owed))
        self.backlog = wanted - uploads
        machines["speed"] = np.where(wanted > 0, np.clip(uploads / np.maximum(most, 1e-12), 0.01, 1.0), 1.0)
        left = np.minimum(renders, there - uploads)
        machines["render_speed"] = np.where(renders > 0, np.clip(left / np.maximum(renders, 1e-12), 0.01, 1.0), 1.0)
        machines["work"] = 0.0
