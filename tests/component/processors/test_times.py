"""The times that a record keeps."""

import time
from typing import Any

from msgspec import structs

from processors.runs import Run
from storage.queue.lease import Attempts
from tests.component.processors.conftest import FIRES_MS


async def test_the_record_keeps_when_and_by_whom_it_was_rendered(world: Any) -> None:
    """The store has all times but that of its own PUT, the index that one too; another run changes neither."""
    post_id = await world.post()
    before_ms = time.time_ns() // 1_000_000 - FIRES_MS - 1000
    run = Run("host-7-ab", Attempts(outages=1), committed_ms=FIRES_MS + 1500, claimed_ms=FIRES_MS + 2000)

    await world.jobs().render_pair(world.moment_id, post_id, run=run)
    await world.jobs().render_pair(world.moment_id, post_id, run=Run("another"))

    times, known = (await world.record(post_id)).times, (await world.indexed(post_id)).times
    assert (times.worker, times.run, times.committed_ms, times.claimed_ms) == ("host-7-ab", 2, 500, 1000)
    assert before_ms <= times.rendered_ms <= known.ready_ms
    assert times.ready_ms is None
    assert structs.replace(known, ready_ms=None) == times
