"""The jobs as arq functions: what of a claim they pass on."""

from typing import Any, cast

from processors.functions import functions
from processors.post_jobs import Jobs
from processors.registry import CLAIMED
from storage.queue.jobs import DEAR, ON_TIME
from storage.queue.lease import Attempts, Claimed


class Played:
    """Jobs that note how they are called."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []

    async def render_pair(self, *_args: str, **how: object) -> None:
        """Note the call."""
        self.calls.append(how)


async def called(claimed: Claimed | None) -> dict[str, Any]:
    """How a render is called for this claim; None as by a stock arq worker."""
    jobs = Played()
    render = {one.name: one for one in functions(cast("Jobs", jobs), 30.0)}["render_pair"]
    await cast("Any", render.coroutine)({} if claimed is None else {CLAIMED: claimed}, "m", "p")
    return jobs.calls[0]


async def test_a_claim_decides_how_a_pair_is_rendered() -> None:
    """Without `full` after a long wait, expensive ones in their queue, the last time after a fault."""
    first = await called(Claimed("render_pair:p", b"", ON_TIME, "host:1:a:7"))
    assert (first["full"], first["dear"], first["last"], first["run"].worker) == (True, False, False, "host:1:a")
    late = await called(Claimed("render_pair:p", b"", DEAR, "w:1", Attempts(faults=1), waited_s=31.0))
    assert (late["full"], late["dear"], late["last"]) == (False, True, True)
    assert (await called(None))["full"]
