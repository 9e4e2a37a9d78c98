"""bench.replay.course: arrivals by the second, and looks at the scaler of a service that may not answer."""

import aiohttp
import pytest

from bench.replay.course import CourseWatch, by_second
from bench.service import Service
from bench.traces.trace import Row
from tests.unit.bench.fake_service import QUICK, FakeClock, FakeService, Faults


def row(t: int) -> Row:
    """An arrival."""
    return Row(t=t, u="u", f=1, b=1, up=1)


def test_arrivals_are_counted_by_the_second() -> None:
    """Empty seconds count as none; nothing gives nothing."""
    assert by_second([row(0), row(999_999), row(3_000_000)]) == (2, 0, 0, 1)
    assert by_second([]) == ()


@pytest.mark.parametrize("away", [False, True])
async def test_a_look_is_a_sample_unless_nobody_knows(*, away: bool) -> None:
    """Its time is counted from the moment; a second without an answer is left out, and not asked for again."""
    fake = FakeService(Faults(no_scaler=away))
    clock = FakeClock()
    async with fake.server() as server, aiohttp.ClientSession() as session:
        service = Service(session, [str(server.make_url("")).rstrip("/")], QUICK, clock)
        watch = CourseWatch(service, clock.now() + 3, clock)
        await watch.look()

    seen = [(one.t, one.workers, one.desired, one.ready) for one in watch.samples]
    assert seen == ([] if away else [(-3.0, 2, 3, 0)])
    assert len(fake.requests) == 1
