"""A sealed prediction: the figures of a simulation, and of which trace, fleet, costs and code they are, and when.

A replay reads it before it begins and refuses one that is not of this trace, stack and code, or is not older than the
run. What the file says after that does not change the score. A digest of its content finds damage and edits by hand; it
has no secret, so whoever computes it anew can seal what they like.
"""

import datetime as dt
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from ..errors import BenchError
from ..files import read_json, write_json
from ..simulation.bands import Band
from ..simulation.code import code_hash
from ..simulation.fleet import Fleet
from ..simulation.settings import DEFAULTS, RING_SEED, RING_SEED_DEFAULT

TIERS: Final = {"lb": "balancers", "node": "nodes"}
DIGEST: Final = "digest"
# Costs and machines change; and a date that was made up is older than that by accident only.
AGE_MAX: Final = dt.timedelta(days=7)


class PredictionError(BenchError):
    """The prediction cannot be scored by this run; the text says why."""


class Prediction(msgspec.Struct, frozen=True, kw_only=True):
    """The content of the file. `fleet` is the whole fleet, `costs` and `code` are SHA-256, `axes` how far it goes."""

    sealed_at: str  # RFC 3339
    trace_sha256: str
    fleet: Fleet
    code: str
    figures: dict[str, Band]
    costs: str
    faults: tuple[str, ...] = ()
    seeds: int = 1
    axes: dict[str, float | str] = {}


class Against(msgspec.Struct, frozen=True, kw_only=True):
    """What is about to run: the trace, how it is sent, the stack's known settings (`replay/known.py`), its cores."""

    trace_sha256: str
    scale: float
    settings: Mapping[str, str]
    cores: int
    began: dt.datetime
    code: str


def seal(path: Path, prediction: Prediction) -> None:
    """Write the prediction as JSON, with its digest, to a file that `read` accepts."""
    content = msgspec.to_builtins(prediction)
    write_json(path, {DIGEST: digest(content), **content})


def digest(content: Mapping[str, Any]) -> str:
    """SHA-256 of a file's content but for the digest itself, as JSON with sorted names and without spaces."""
    rest = {name: value for name, value in content.items() if name != DIGEST}
    return hashlib.sha256(msgspec.json.encode(rest, order="deterministic")).hexdigest()


def read(path: Path) -> Prediction:
    """The prediction in a file; PredictionError when it is none, or not as it was sealed."""
    found = read_json(path, Prediction, "sealed prediction", PredictionError)
    content = read_json(path, dict[str, Any], "sealed prediction", PredictionError)
    if DIGEST not in content:
        raise PredictionError(f"{path} has no digest, so nobody knows whether it is as it was sealed; seal it again")
    if content[DIGEST] != digest(content):
        raise PredictionError(f"{path} is not as it was sealed: its digest is of another content; seal it again")
    try:
        dated = dt.datetime.fromisoformat(found.sealed_at).tzinfo is not None
    except ValueError:
        dated = False
    if not dated:
        raise PredictionError(f"{path}: sealed_at {found.sealed_at}: no time with a zone")
    return found


def check(prediction: Prediction, against: Against) -> None:
    """PredictionError unless the prediction is of what is about to run, and older, but not by more than `AGE_MAX`."""
    sealed_at = dt.datetime.fromisoformat(prediction.sealed_at)
    if sealed_at >= against.began:
        raise PredictionError(f"the prediction was sealed at {prediction.sealed_at}, after the run began")
    if sealed_at < against.began - AGE_MAX:
        raise PredictionError(
            f"the prediction was sealed at {prediction.sealed_at}, more than {AGE_MAX.days} days ago; seal it again"
        )
    if prediction.trace_sha256 != against.trace_sha256 or against.scale != 1:
        raise PredictionError("the prediction is of another trace; simulate and seal this one, at scale 1")
    if prediction.code != against.code:
        raise PredictionError("the prediction is of other code; simulate and seal it again with this one")
    if different := _differences(prediction.fleet, against):
        raise PredictionError(f"the prediction is of another fleet: {different}")


def _differences(fleet: Fleet, against: Against) -> str:
    """The first difference between the fleet and the stack; empty when there is none."""
    if "nodes" not in against.settings:
        return "nothing is known of this stack; name its file with --stack"
    for tier, name in TIERS.items():
        if str(fleet.of(tier)) != against.settings[name]:
            return f"it has {fleet.of(tier)} {name}, the stack {against.settings[name]}"
    cores = sum(kind.count * kind.cores for kind in fleet.machines.values())
    if any(kind.phones for kind in fleet.machines.values()) and cores != against.cores:
        return f"it has {cores:g} cores, this machine {against.cores}"
    # Also those that the simulation does not look at: what it says of the stack must be so.
    for name in sorted(DEFAULTS.keys() | fleet.settings.keys() | {RING_SEED}):
        ours, theirs = fleet.settings.get(name), against.settings.get(name)
        if _value(name, ours) != _value(name, theirs):
            return f"{name} is {ours or 'not set'} in it, {theirs or 'not set'} in the stack"
    return ""


def _value(name: str, given: str | None) -> float | str | None:
    """What a setting comes to: its default where it is not given, as far as it is known here."""
    if name in DEFAULTS:
        return float(given or DEFAULTS[name])
    return given or (RING_SEED_DEFAULT if name == RING_SEED else None)


def against_now(trace_sha256: str, scale: float, settings: Mapping[str, str], cores: int) -> Against:
    """What is about to run, now, with the code of this tree."""
    began = dt.datetime.now(dt.UTC)
    return Against(
        trace_sha256=trace_sha256, scale=scale, settings=settings, cores=cores, began=began, code=code_hash()
    )
