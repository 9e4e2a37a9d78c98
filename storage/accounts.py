"""The account of a moment: what was promised and kept, exact to the pair; stored and answered over HTTP. Pure.

Two parts. What the posts tell is computed from every record, and can be computed again as long as the posts exist. What
the nodes told (`tallies.py`) is in Redis for a week, and afterwards only in the stored account.
"""

from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from .records import Moment, Timestamp

# Of the pairs whose head came in time 99.9 % are to be acknowledged, counted over so many moments of a region.
OBJECTIVE = 0.999
BUDGET_MOMENTS = 28


class Quantiles(msgspec.Struct, frozen=True, kw_only=True):
    """Quantiles in ms over `count` posts, by the nearest rank; null without any."""

    count: int = 0
    p50: int | None = None
    p90: int | None = None
    p99: int | None = None
    max: int | None = None


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """Pairs that a node refused for the service's sake (5xx), each counted once."""

    pairs: Annotated[int, Meta(description="pairs that were refused at least once")] = 0
    came_back: Annotated[int, Meta(description="of these, pairs that were accepted by a later try")] = 0
    deleted: Annotated[int, Meta(description="of these, pairs that a tombstone replaced: no failure of ours")] = 0
    not_back: Annotated[int, Meta(description="of these, pairs of which the store has no post and no tombstone")] = 0
    not_back_in_time: Annotated[int, Meta(description="of those not back, pairs whose first try came in time")] = 0
    complete: Annotated[bool, Meta(description="false if more pairs were refused than nodes and Redis keep")] = True


class Failures(msgspec.Struct, frozen=True, kw_only=True):
    """Renders that needed more than one run, by what ended the others, and jobs that were given up, by their reason."""

    faults: int = 0
    outages: int = 0
    lapses: int = 0
    dead_letters: dict[str, int] = {}


class Cpu(msgspec.Struct, frozen=True, kw_only=True):
    """CPU ms by tier; null where a tier cannot tell moments apart."""

    lb: Annotated[int | None, Meta(description="null: a balancer knows no moments; see its own metric")] = None
    node: Annotated[int | None, Meta(description="of the seconds in which a node had tries, shared among moments")] = (
        None
    )
    worker: Annotated[int, Meta(description="of the render processes")] = 0


class Bytes(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes of photos as received and of renditions."""

    photos: int = 0
    renditions: int = 0


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """The error budget of the region over its last moments that have an account, this one included."""

    objective: float = OBJECTIVE
    moments: int = 1
    pairs: Annotated[int, Meta(description="pairs that were due to be acknowledged on time")] = 0
    allowed: Annotated[float, Meta(description="pairs that may fail: (1 - objective) * pairs")] = 0.0
    failed: Annotated[int, Meta(description="pairs that did")] = 0
    left: Annotated[float, Meta(description="allowed - failed; below 0 when the budget is overspent")] = 0.0


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """The account of one moment."""

    moment: Moment
    computed_at: Timestamp
    settled: Annotated[bool, Meta(description="no accepted post was pending, and the window had closed a minute ago")]
    offered: Annotated[int, Meta(description="posts, and refused pairs that are not back; without deleted posts")]
    accepted: int = 0
    on_time: int = 0
    late: int = 0
    late_because_of_us: Annotated[
        int, Meta(description="posts whose flag does not follow from their receipt, and late ones whose refused first "
                              "try came in time although their ticket was honoured")
    ] = 0  # fmt: skip
    late_without_ticket: Annotated[
        int, Meta(description="late posts that were refused in time and came back without a ticket that was honoured")
    ] = 0
    known_by: Annotated[list[str], Meta(description="what these numbers follow from")] = []
    deleted: Annotated[
        int, Meta(description="tombstones: of deleted posts, and of users whose data was deleted that day")
    ] = 0
    ready: int = 0
    rejected: Annotated[dict[str, int], Meta(description="by reason")] = {}
    pending: int = 0
    retried: Annotated[int, Meta(description="accepted posts whose accepted try brought a ticket")] = 0
    refused: Refused = Refused()
    tries: Annotated[dict[str, int], Meta(description="tries that reached a node, by outcome")] = {}
    tickets: Annotated[int, Meta(description="tries that brought a ticket")] = 0
    untold: Annotated[
        int, Meta(description="accepted posts that no node counted: of nodes that were killed, or lost with Redis")
    ] = 0
    upload_ms: Annotated[Quantiles, Meta(description="head to end of body, of the try that was accepted")] = Quantiles()
    rendered_ms: Annotated[Quantiles, Meta(description="`received_at` to the end of the render")] = Quantiles()
    ready_ms: Annotated[Quantiles, Meta(description="`received_at` to ready, of posts that the index knows")] = (
        Quantiles()
    )
    untimed: Annotated[int, Meta(description="posts whose receipt has no times, as of an older version")] = 0
    bytes: Bytes = Bytes()
    cpu_ms: Cpu = Cpu()
    failures: Failures = Failures()
    budget: Budget = Budget()

    @property
    def due(self) -> int:
        """Pairs that were due to be acknowledged on time."""
        return self.on_time + self.refused.not_back_in_time + self.late_because_of_us

    @property
    def failed(self) -> int:
        """Pairs that were not."""
        return self.refused.not_back_in_time + self.late_because_of_us

    @property
    def kept(self) -> bool:
        """Whether no post is wrongly late, pending or given up."""
        return not (self.late_because_of_us or self.pending or self.failures.dead_letters)


def quantiles(values: Sequence[int]) -> Quantiles:
    """Quantiles of all these values by the nearest rank, which is one of the values."""
    ordered = sorted(values)
    if not ordered:
        return Quantiles()

    def at(percent: int) -> int:
        return ordered[-(-percent * len(ordered) // 100) - 1]

    return Quantiles(count=len(ordered), p50=at(50), p90=at(90), p99=at(99), max=ordered[-1])


def budget(accounts: Sequence[Account]) -> Budget:
    """The budget over these accounts, which are those of the last moments of a region."""
    pairs, failed = sum(one.due for one in accounts), sum(one.failed for one in accounts)
    allowed = round((1 - OBJECTIVE) * pairs, 3)
    return Budget(moments=len(accounts), pairs=pairs, allowed=allowed, failed=failed, left=round(allowed - failed, 3))
