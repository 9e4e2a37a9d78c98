"""How the cores of each machine are shared in a tick between what serves uploads and the workers.

Demand is that of the tick before, with what it left undone: work that was begun at a speed which the cores did not
have is a debt that slows the ticks after it, so that over time no machine does more than its cores can.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from .world import Floats, Indices, World

# Workers run at nice 5 (`deploy/plan.py`), so the kernel gives them 335 parts for each 1,024 of a program of the upload
# path (sched(7)).
UPLOAD_WEIGHT: Final = 1024.0
WORKER_WEIGHT: Final = 335.0
CORES_MIN: Final = 0.05  # what is left of a machine whose idle programs alone use all its cores
SPEED_MIN: Final = 1e-4


class Cores:
    """All machines: cores, programs of the upload path, cores that something beside the burst uses, and workers."""

    def __init__(self, cores: Floats, servers: Floats, beside: Floats, workers: Floats) -> None:
        self._cores, self._servers, self._beside = cores, np.maximum(servers, 1.0), beside
        self._workers = workers
        self._watching = np.zeros(len(cores))
        self.backlog = np.zeros(len(cores))
        self.renders = np.zeros(len(cores))  # CPU seconds of renders that were begun and are not done

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
        there = np.maximum(self._cores - self._beside - self._watching, CORES_MIN) * tick_s
        # A render shorter than a tick may run in none of the instants at which `running` is counted.
        begun = self.renders + machines["rendered"]
        renders = np.maximum(running * tick_s, np.minimum(begun, self._workers * tick_s))
        parts = UPLOAD_WEIGHT * most
        owed = there * parts / np.maximum(parts + WORKER_WEIGHT * renders, 1e-12)
        # Who asks for less than his part leaves the rest to the others.
        uploads = np.minimum(most, np.maximum(there - renders, owed))
        self.backlog = wanted - uploads
        machines["speed"] = _speed(uploads, most, there / tick_s)
        left = np.minimum(renders, there - uploads)
        self.renders = np.maximum(begun - left, 0.0)
        machines["render_speed"] = _speed(left, renders, (there - uploads) / tick_s)
        machines["work"] = machines["rendered"] = 0.0


def _speed(given: Floats, wanted: Floats, cores: Floats) -> Floats:
    """How fast a program runs that gets this part of the seconds that are wanted; at most at the speed of all cores."""
    found: Floats = np.where(wanted > 0, given / np.maximum(wanted, 1e-12), 1.0)
    return np.clip(np.minimum(found, cores), SPEED_MIN, 1.0)
