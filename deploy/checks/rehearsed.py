"""Reads what others wrote before the moment: the report of the last rehearsal, and the plan.

A rehearsal is what `bench rehearse --json` prints, or the report of `bench replay`.
"""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec

from .facts import Rehearsal

GB: Final = 1e9
FUTURE_S_MAX: Final = 60.0  # Clocks of file servers differ.
_DAY: Final = re.compile(r"-(\d{8})-")
BROKEN: Final = ("lost", "half", "doubled", "wrongly_late")


class _Trial(msgspec.Struct, frozen=True):
    fault: str
    result: str


class _Report(msgspec.Struct, frozen=True):
    """A matrix has `trials`, a replay its counts."""

    trials: tuple[_Trial, ...] = ()
    offered: int = 0
    lost: int = 0
    half: int = 0
    doubled: int = 0
    wrongly_late: int = 0
    void: bool = False
    interrupted: bool = False
    verdict: str = ""
    moment_id: str = ""


class _Store(msgspec.Struct, frozen=True):
    gb_day: float


class _Tiers(msgspec.Struct, frozen=True):
    store: _Store


class _Plan(msgspec.Struct, frozen=True):
    tiers: _Tiers


def rehearsal(report: Path | None, now_s: float) -> Rehearsal:
    """The last rehearsal, or why nothing is known of one."""
    if report is None:
        return Rehearsal(error="no report of a rehearsal is named")
    try:
        found = msgspec.json.decode(report.read_bytes(), type=_Report)
        # The report does not say when it was made.
        age_s = now_s - report.stat().st_mtime
    except FileNotFoundError:
        return Rehearsal(error=f"there is no report {report}")
    except (OSError, msgspec.MsgspecError) as error:
        return Rehearsal(error=f"the report {report} cannot be read: {error}")
    if age_s < -FUTURE_S_MAX:
        return Rehearsal(error=f"the report {report} is from the future: its age cannot be told")
    passed, text = _matrix(found) if found.trials else _replay(found)
    # The older of two ages: that of the file, and for a replay that of the day in the moment's id, because a copied
    # file looks too young.
    return Rehearsal(passed=passed, text=text, age_s=max(0.0, age_s, _moment_age_s(found.moment_id, now_s)))


def _moment_age_s(moment_id: str, now_s: float) -> float:
    """At least so long ago the moment was: since the end of the day in its id; 0 if it has none."""
    found = _DAY.search(moment_id)
    try:
        day = datetime.strptime(found[1], "%Y%m%d").replace(tzinfo=UTC) if found else None
    except ValueError:
        day = None
    # From the end of that day: the id has no hour, and an age that is too low is only too kind.
    return 0.0 if day is None else now_s - (day + timedelta(days=1)).timestamp()


def _matrix(found: _Report) -> tuple[bool, str]:
    bad = [f"{one.fault}: {one.result}" for one in found.trials if one.result != "passed"]
    passed = f"{len(found.trials) - len(bad)} of {len(found.trials)} trials passed"
    return not bad, "; ".join([passed, *bad[:3]])


def _replay(found: _Report) -> tuple[bool, str]:
    broken = {name: getattr(found, name) for name in BROKEN if getattr(found, name)}
    if broken:
        return False, "a replay failed: " + ", ".join(f"{name} {count}" for name, count in broken.items())
    if found.interrupted:
        return False, "a replay that was interrupted"
    if found.void or not found.offered or found.verdict not in {"", "pass"}:
        return False, f"a replay of {found.offered} pairs that is {found.verdict or 'void'}"
    return True, f"a replay of {found.offered:,} pairs passed"


def need_bytes(plan: Path) -> float:
    """What a plan (`bench plan --json`) puts into the store for a day's moment; ValueError if it cannot be read."""
    try:
        return msgspec.json.decode(plan.read_bytes(), type=_Plan).tiers.store.gb_day * GB
    except (OSError, msgspec.MsgspecError) as error:
        raise ValueError(f"the plan {plan} cannot be read: {error}") from error
