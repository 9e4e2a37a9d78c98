"""Renders that use up their budget: tried once more, then the photos' fault; a ready post is never taken back."""

from typing import Any

import pytest

from processors.render.slot import RenderOverdue
from processors.runs import OVERDUE_REASON


def overdue_jobs(world: Any, spent: Exception) -> Any:
    """Jobs whose every render ends like this."""

    def ended(*_: object, **__: object) -> Any:
        raise spent

    return world.jobs(renders=ended)


async def test_a_second_overdue_render_rejects_the_post(world: Any) -> None:
    """The first one is tried again, and nothing is written; the last is the photos' fault, with a reason."""
    post_id = await world.post()
    jobs = overdue_jobs(world, RenderOverdue())
    with pytest.raises(RenderOverdue):
        await jobs.render_pair(world.moment_id, post_id)
    assert await world.record(post_id) is None

    assert await jobs.render_pair(world.moment_id, post_id, last=True) == "rejected"

    assert (await world.record(post_id)).reason == OVERDUE_REASON
    assert await world.counted() == {"accepted": 1, "on_time": 1, "rejected": 1}


async def test_a_ready_post_is_never_rejected_for_its_full(world: Any) -> None:
    """What is overdue while `full` is completed leaves the post as it is, and ends."""
    post_id = await world.post()
    await world.jobs().render_pair(world.moment_id, post_id, full=False)
    jobs = overdue_jobs(world, RenderOverdue())
    with pytest.raises(RenderOverdue):
        await jobs.complete_media(world.moment_id, post_id)

    assert await jobs.complete_media(world.moment_id, post_id, last=True) == "ready"

    assert (await world.record(post_id)).state == "ready"
