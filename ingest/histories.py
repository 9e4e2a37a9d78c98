"""The history of one post as a waterfall: the steps of `storage/steps.py`, waits and work apart, as answered. Pure."""

from typing import Annotated

import msgspec
from msgspec import Meta

from storage.records import Post, Receipt, State, Timestamp
from storage.steps import Kind, Step
from storage.steps import steps as steps_of


class FailedRuns(msgspec.Struct, frozen=True):
    """How earlier runs of the render ended: by a fault, an outage of store or Redis, or the loss of their worker."""

    faults: int = 0
    outages: int = 0
    lapses: int = 0


class History(msgspec.Struct, frozen=True, kw_only=True):
    """The way of one post; without its user, so that it can be passed on."""

    id: str
    moment_id: str
    state: State
    reason: str | None
    received_at: Annotated[Timestamp, Meta(description="when the head of the first try came")]
    damaged: Annotated[
        bool,
        Meta(
            description="whether the stored pair cannot be read: then only what the record has is known; `python -m "
            "processors verify MOMENT` says what can be mended"
        ),
    ]
    request_id: Annotated[str, Meta(description="of the try that was accepted; empty: not known")]
    attempt: Annotated[str, Meta(description="the id that the server gave to that try")]
    retry: Annotated[bool, Meta(description="whether that try brought a ticket of an earlier one")]
    run: Annotated[int, Meta(description="the run of the render that made it ready, from 1; 0: not yet, or not known")]
    failures: FailedRuns
    node: str
    worker: str
    trace: Annotated[str, Meta(description="the `traceparent` that a trusted peer sent")]
    wait_ms: Annotated[int, Meta(description="the sum of the waits")]
    work_ms: Annotated[int, Meta(description="the sum of the work")]
    cpu_ms: Annotated[int | None, Meta(description="CPU time of the render")]
    unknown: Annotated[list[str], Meta(description="steps whose end is not known, or has not come")]
    steps: Annotated[
        list[Step],
        Meta(
            description="retry: until the try that was accepted; receive: its body; commit: the PUT; enqueue: until "
            "Redis had the job; queue: until a worker claimed it; slot: until that worker began; render; store: the PUT"
        ),
    ]


def history(receipt: Receipt | None, post: Post) -> History:
    """The history that receipt and record tell; without a receipt the pair cannot be read."""
    times = post.times
    steps, unknown = steps_of(times)
    return History(
        id=post.id,
        moment_id=post.moment_id,
        state=post.state,
        reason=post.reason,
        received_at=receipt.received_at if receipt else post.received_at,
        damaged=receipt is None,
        request_id=receipt.request_id if receipt else "",
        attempt=receipt.attempt if receipt else post.attempt,
        retry=times.retry,
        run=times.run,
        failures=FailedRuns(times.faults, times.outages, times.lapses),
        node=times.node,
        worker=times.worker,
        trace=times.trace,
        wait_ms=_sum(steps, "wait"),
        work_ms=_sum(steps, "work"),
        cpu_ms=times.cpu_ms,
        unknown=unknown,
        steps=steps,
    )


def _sum(steps: list[Step], kind: Kind) -> int:
    return sum(step.to_ms - step.from_ms for step in steps if step.kind == kind)
