"""The settings that a simulation uses, with the defaults of the programs; a fleet's file changes them."""

import math
from collections.abc import Mapping
from typing import Final

from .fleet import FleetError

# The programs' `config.py` read the environment and are not imported here. A test compares every default with theirs.
DEFAULTS: Final[dict[str, float]] = {
    "SNAPSURGE_LB_RING_SLOTS": 2**21,
    "SNAPSURGE_LB_BOUND_PERCENT": 125,
    "SNAPSURGE_LB_BOUND_FLOOR_BYTES": 16 * 2**20,
    "SNAPSURGE_LB_REQUEST_BYTES": 16384,
    "SNAPSURGE_LB_SLOW_START_S": 10,
    "SNAPSURGE_INGEST_IN_FLIGHT_BYTES_MAX": 0,
    "SNAPSURGE_INGEST_IN_FLIGHT_REQUESTS_MAX": 4096,
    "SNAPSURGE_INGEST_COMMIT_WAIT_S": 20.0,
    "SNAPSURGE_INGEST_BATCH_LINGER_S": 0.002,
    "SNAPSURGE_PROCESSORS_DEGRADE_S": 30.0,
    "SNAPSURGE_PROCESSORS_LEASE_S": 6.0,
    "SNAPSURGE_PROCESSORS_WORKERS_MIN": 1,
    "SNAPSURGE_PROCESSORS_WORKERS_WARM": 0,
    "SNAPSURGE_PROCESSORS_WARM_LEAD_S": 60.0,
    "SNAPSURGE_PROCESSORS_WARM_HOLD_S": 30.0,
    "SNAPSURGE_PROCESSORS_DRAIN_TARGET_S": 60.0,
    "SNAPSURGE_PROCESSORS_SCALE_DOWN_S": 300.0,
    "SNAPSURGE_PROCESSORS_UTILISATION": 0.7,
    "SNAPSURGE_PROCESSORS_SCALE_EVERY_S": 1.0,
    "SNAPSURGE_PROCESSORS_SWEEP_EVERY_S": 15.0,
}
RING_SEED: Final = "SNAPSURGE_LB_RING_SEED"
RING_SEED_DEFAULT: Final = "snapsurge"


class Settings:
    """A fleet's settings over the defaults; `unused` are names that the simulation does not look at."""

    def __init__(self, given: Mapping[str, str]) -> None:
        self.seed = given.get(RING_SEED, RING_SEED_DEFAULT).encode()
        self.unused = tuple(sorted(given.keys() - DEFAULTS.keys() - {RING_SEED}))
        self._values = dict(DEFAULTS)
        for name in given.keys() & DEFAULTS.keys():
            try:
                value = float(given[name])
            except ValueError:
                value = math.nan
            if not math.isfinite(value):
                raise FleetError(f"{name}={given[name]}: the setting is a number")
            self._values[name] = value

    def of(self, name: str) -> float:
        """The value of `SNAPSURGE_<name>`."""
        return self._values[f"SNAPSURGE_{name}"]

    def whole(self, name: str) -> int:
        """The value of `SNAPSURGE_<name>`, which is a whole number."""
        return int(self.of(name))
