"""The resiliency matrix: the same burst without a fault and then once for each fault, and what is said of each.

A fault passes when it happened, a metric saw it, the stack recovered, and no pair was lost, halved, doubled or wrongly
late.
"""

from collections.abc import Sequence
from typing import Final, Literal

import msgspec

from .sightings import Sighting

Result = Literal["passed", "failed", "void", "not possible here"]
CALM: Final = "no fault"
SHOWN_MAX: Final = 5


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a replay's report that the matrix needs."""

    offered: int
    accepted: int
    shed: int
    lost: int
    half: int
    doubled: int
    wrongly_late: int
    pending: int = 0
    unchecked: str | None = None  # why the posts could not be checked
    voided: tuple[str, ...] = ()  # why it is void

    @property
    def broken(self) -> int:
        """Pairs of which a promise was broken, but for those that are wrongly late."""
        return self.lost + self.half + self.doubled


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """A burst with one fault: the row of the matrix. `seen` is empty when no metric saw it."""

    fault: str
    result: Result
    why: str
    evidence: str = ""
    seen: tuple[Sighting, ...] = ()
    offered: int = 0
    accepted: int = 0
    shed: int = 0
    lost: int = 0
    late_by_us: int = 0
    recovery_s: float | None = None


class Matrix(msgspec.Struct, frozen=True, kw_only=True):
    """What `rehearse --json` prints."""

    trace: str
    peak_s: float
    trials: tuple[Trial, ...]

    @property
    def exit_code(self) -> int:
        """0 when every fault passed, 1 when one failed, 3 when none failed and one is void or not possible."""
        results = {trial.result for trial in self.trials}
        # A fault that is void or not possible here is no pass.
        return 1 if "failed" in results else 0 if results == {"passed"} else 3


def judged(fault: str, counts: Counts, evidence: str, seen: Sequence[Sighting], recovery_s: float | None) -> Trial:
    """The row of a fault that happened; of the burst without a fault when the evidence is empty."""
    faults = list(_complaints(counts, seen, recovery_s, calm=not evidence))
    void = "; ".join(counts.voided)
    # A broken promise fails the trial, even if its replay is void.
    broken = counts.broken or counts.wrongly_late
    result: Result = "failed" if broken or (faults and not void) else "void" if void else "passed"
    return Trial(
        fault=fault,
        result=result,
        why="; ".join([*faults, *([void] if void else [])]),
        evidence=evidence,
        seen=tuple(seen[:SHOWN_MAX]),
        offered=counts.offered,
        accepted=counts.accepted,
        shed=counts.shed,
        lost=counts.broken,
        late_by_us=counts.wrongly_late,
        recovery_s=recovery_s,
    )


def _complaints(counts: Counts, seen: Sequence[Sighting], recovery_s: float | None, *, calm: bool) -> list[str]:
    found = []
    if counts.unchecked:
        found.append(f"the posts could not be checked: {counts.unchecked}")
    if counts.broken:
        found.append(f"lost {counts.lost}, half {counts.half}, doubled {counts.doubled}")
    if counts.wrongly_late:
        found.append(f"{counts.wrongly_late} made late by us")
    if counts.pending:
        found.append(f"{counts.pending} posts neither ready nor rejected")
    if not calm and not seen:
        found.append("no metric saw it")
    if not calm and recovery_s is None:
        found.append("not recovered when the replay ended")
    return found
