"""How long reports wait for each other, and that they go on together."""

import asyncio

from processors.reporting import SHARE, WAIT_S_MAX, Reporting, limit_s


def test_a_report_waits_a_part_of_what_its_job_waited() -> None:
    """Not at all without a queue, and never longer than the maximum."""
    assert limit_s(0.0) == 0.0
    assert limit_s(1.0) == 1.0 / SHARE
    assert limit_s(SHARE * WAIT_S_MAX) == limit_s(1e6) == WAIT_S_MAX


async def test_all_go_on_when_they_are_released() -> None:
    """Those that wait now; the next ones wait again. A job needs no slot from its wait to its end."""
    reporting = Reporting()
    async with asyncio.TaskGroup() as tasks:
        waits = [tasks.create_task(reporting.wait(f"job {number}", 60)) for number in range(3)]
        await asyncio.sleep(0)
        assert not any(one.done() for one in waits)
        reporting.release()
        await asyncio.wait(waits)
        later = tasks.create_task(reporting.wait("later", 60))
        await asyncio.sleep(0)
        assert not later.done()
        reporting.release()

    assert "job 1" in reporting
    began = reporting.ended("job 1")
    assert "job 1" not in reporting
    assert began <= asyncio.get_running_loop().time()


async def test_the_first_that_waited_long_enough_takes_the_others_along() -> None:
    """So a limit of one means one call for all."""
    reporting = Reporting()
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        tasks.create_task(reporting.wait("patient", 600))
        tasks.create_task(reporting.wait("urgent", 0.001))


async def test_a_job_whose_lease_was_lost_waits_no_longer() -> None:
    """Its cancellation is raised, and does not release the others."""
    reporting = Reporting()
    async with asyncio.TaskGroup() as tasks:
        lost = tasks.create_task(reporting.wait("lost", 60))
        other = tasks.create_task(reporting.wait("other", 60))
        await asyncio.sleep(0)
        lost.cancel()
        await asyncio.wait([lost])
        assert lost.cancelled()
        assert not other.done()
        reporting.release()
