"""One run of a render, and the times that it adds to the record of its post. Pure: times come in.

A run knows unix ms; a record has ms after `received_at` (`storage.records.Times`).
"""

from typing import Final

import msgspec

from storage import intake, media
from storage.queue.lease import Attempts
from storage.records import Post, Receipt, Times, accepted, flagged, to_ms
from storage.zips import TAIL_BYTES


class Run(msgspec.Struct, frozen=True):
    """When the pair was committed, queued, claimed and started (unix ms, 0: not known), by which worker and run.

    `kept` are the times of a record without `full`: a run that completes it changes none of them.
    """

    worker: str = ""
    attempts: Attempts = Attempts()
    committed_ms: int = 0
    queued_ms: int = 0
    claimed_ms: int = 0
    started_ms: int = 0
    kept: Times | None = None


UNKNOWN: Final = Run()
OVERDUE_REASON: Final = "the photos take more computing time than photos of their size and format do"


def rendered(receipt: Receipt, run: Run, now_ms: int, cpu_s: float) -> Times:
    """The times of a pair whose render ended now, after so many CPU seconds."""
    if run.kept is not None:
        return run.kept
    received_ms = to_ms(receipt.received_at)

    def after(unix_ms: int) -> int | None:
        return unix_ms - received_ms if unix_ms else None

    return msgspec.structs.replace(
        receipt.times,
        committed_ms=after(run.committed_ms),
        queued_ms=after(run.queued_ms),
        claimed_ms=after(run.claimed_ms),
        started_ms=after(run.started_ms),
        rendered_ms=after(now_ms),
        worker=run.worker,
        faults=run.attempts.faults,
        outages=run.attempts.outages,
        lapses=run.attempts.lapses,
        cpu_ms=round(cpu_s * 1000),
    )


def ready(post: Post, now_ms: int) -> Post:
    """The record of a post whose media object was stored now, for the index."""
    if post.times.rendered_ms is None or post.times.ready_ms is not None:
        return post
    times = msgspec.structs.replace(post.times, ready_ms=now_ms - to_ms(post.received_at))
    return msgspec.structs.replace(post, times=times)


def overdue(archive: bytes, run: Run, now_ms: int) -> tuple[Post, bytes]:
    """The record and media object of a pair that is rejected because it used up its budget on the last try."""
    receipt = intake.receipt_in(archive[-TAIL_BYTES:])
    post = flagged(accepted(receipt), receipt.late_by_ms)
    times = rendered(receipt, run, now_ms, 0.0)  # the render's process, which knew its CPU time, was ended
    times = msgspec.structs.replace(times, cpu_ms=None)
    return media.pack(msgspec.structs.replace(post, state="rejected", reason=OVERDUE_REASON, times=times), {})
