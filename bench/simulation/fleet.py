"""A fleet: the machines that take a burst, what runs on them, and the settings that decide what they accept.

Read from the file of `simulate --fleet`, and made by `plan` for the machines it proposes.
"""

from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from ..errors import BenchError
from ..files import read_json

Count = Annotated[int, Meta(ge=0)]
Positive = Annotated[float, Meta(gt=0)]
# Processes of a tier, and machines: more than any fleet of ours could have, and still simulated in little memory.
FLEET_MAX: Final = 100_000


class FleetError(BenchError):
    """The file describes no fleet that could take a burst; the text says why."""


class Machines(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """So many equal machines, and how many processes of each tier run on each of them."""

    count: Annotated[int, Meta(ge=1)] = 1
    cores: Positive
    memory_gib: Positive | None = None  # of one machine; None: enough
    nic_gbit: Positive | None = None
    lb: Count = 0
    node: Count = 0
    worker: Count = 0
    redis: Count = 0
    store: Count = 0
    zones: Annotated[int, Meta(ge=1)] = 1  # the machines are in so many zones, in turn
    phones: bool = False  # a rehearsal's phones run here and use its cores


class Phones(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """CPU that the load generator of a rehearsal uses for an upload, and beside it."""

    fixed_ms: Annotated[float, Meta(ge=0)] = 0.0
    mb_ms: Annotated[float, Meta(ge=0)] = 0.0
    idle_cores: Annotated[float, Meta(ge=0)] = 0.0
    # CPU of all tiers and of the replay for each post that a poll lists: polls look for pictures that are ready.
    list_ms: Annotated[float, Meta(ge=0)] = 0.0


class Fleet(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All machines. `settings` are SNAPSURGE_… names that differ from their defaults, as the programs get them."""

    # By machine and not by tier, because what shares a machine shares its cores.
    machines: dict[str, Machines]
    store: str = "minio"  # kind of store in the costs: file or minio
    store_slowdown: Positive = 1.0  # the store takes so many times as long
    store_bytes_s: Positive | None = None  # bytes a second that the way to the store passes; None: no limit
    tls: bool = False
    phones: Phones = Phones()
    workers_max: Count | None = None  # the autoscaler's bound; None: those of the machines, from the start
    settings: dict[str, str] = {}

    def of(self, tier: str) -> int:
        """Processes of a tier on all machines."""
        return sum(kind.count * getattr(kind, tier) for kind in self.machines.values())


def read(path: Path) -> Fleet:
    """The fleet in a file; FleetError names the file and what is wrong: no process of a tier or too many, among it."""
    fleet = read_json(path, Fleet, "fleet", FleetError)
    counts = {tier: fleet.of(tier) for tier in ("lb", "node", "worker", "redis", "store")}
    for name, count in {"machines": sum(kind.count for kind in fleet.machines.values()), **counts}.items():
        if count > FLEET_MAX:
            raise FleetError(f"{path}: {name} {count:,}, at most {FLEET_MAX:,}")
    for tier in ("lb", "node", "worker", "redis"):
        if not counts[tier]:
            raise FleetError(f"{path}: no machine runs a {tier}; without one no pair can be taken and shown")
    return fleet
