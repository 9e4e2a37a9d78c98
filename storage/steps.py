"""The steps of a pair, from the times that its record keeps: one after another, each of them work or a wait. Pure.

A step ends at a time of `records.Times`. Where an earlier time is not known, as in records from before times were kept,
the next step begins at the last one that is.
"""

from typing import Literal

import msgspec

from .records import Times

Kind = Literal["wait", "work"]

# The steps in their order: name, field of `Times` with its end, kind, tier.
STEPS: tuple[tuple[str, str, Kind, Literal["phone", "node", "worker"]], ...] = (
    ("retry", "head_ms", "wait", "phone"),
    ("receive", "body_ms", "work", "node"),
    ("commit", "committed_ms", "work", "node"),
    ("enqueue", "queued_ms", "wait", "node"),
    ("queue", "claimed_ms", "wait", "worker"),
    ("slot", "started_ms", "wait", "worker"),
    ("render", "rendered_ms", "work", "worker"),
    ("store", "ready_ms", "work", "worker"),
)


class Step(msgspec.Struct, frozen=True):
    """A step: `where` is the node or the worker, from and to are ms after `received_at`."""

    name: str
    kind: Kind
    where: str
    from_ms: int
    to_ms: int


def steps(times: Times) -> tuple[list[Step], list[str]]:
    """The steps whose end is known, and the names of the others."""
    found, unknown, last_ms = list[Step](), list[str](), 0
    timed = times.body_ms is not None
    for name, field, kind, tier in STEPS:
        ended_ms: int | None = getattr(times, field) if timed else None
        if ended_ms is None:
            unknown.append(name)
        elif name != "retry" or times.retry:
            where = {"phone": "", "node": times.node, "worker": times.worker}[tier]
            found.append(Step(name, kind, where, last_ms, ended_ms))
            last_ms = ended_ms
    return found, unknown
