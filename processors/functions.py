"""The jobs as arq functions under their queue names: what a claim says of a run becomes arguments of the job."""

import time
from collections.abc import Mapping
from typing import Any, cast

from arq.typing import WorkerCoroutine
from arq.worker import Function, func

from storage.queue.jobs import DEAR, ON_TIME
from storage.queue.lease import Claimed

from .post_jobs import Jobs
from .registry import CLAIMED, COMMITTED_MS, QUEUED_MS, REPORTING
from .runs import Run

# Stands in for the claim when a stock arq worker runs the job.
UNCLAIMED = Claimed("", b"", ON_TIME, "")


def functions(jobs: Jobs, degrade_s: float) -> list[Function]:
    """The jobs as arq functions under their queue names; under a stock arq worker each run counts as the first."""

    async def render_pair(context: dict[Any, Any], moment_id: str, post_id: str) -> None:
        claimed = context.get(CLAIMED, UNCLAIMED)
        full, dear, run = claimed.waited_s <= degrade_s, claimed.queue == DEAR, _run_of(context, claimed)
        last, reporting = claimed.attempts.faults > 0, context.get(REPORTING)
        await jobs.render_pair(moment_id, post_id, full=full, dear=dear, last=last, run=run, reporting=reporting)

    async def flag_late(context: dict[Any, Any], moment_id: str, post_id: str) -> None:
        await jobs.flag_late(moment_id, post_id, reporting=context.get(REPORTING))

    async def complete_media(context: dict[Any, Any], moment_id: str, post_id: str) -> None:
        claimed = context.get(CLAIMED, UNCLAIMED)
        await jobs.complete_media(moment_id, post_id, last=claimed.attempts.faults > 0)

    return [func(cast("WorkerCoroutine", one), name=one.__name__) for one in (render_pair, flag_late, complete_media)]


def _run_of(context: Mapping[Any, Any], claimed: Claimed) -> Run:
    """This run of a job, which starts now."""
    return Run(
        worker=claimed.token.rpartition(":")[0],
        attempts=claimed.attempts,
        committed_ms=context.get(COMMITTED_MS, 0),
        queued_ms=context.get(QUEUED_MS, 0),
        claimed_ms=claimed.at_ms,
        started_ms=time.time_ns() // 1_000_000,
    )
