"""Landing's clock over real sockets: when a slow body ends, and what is not charged."""

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace

import pytest
import uvloop

from ingest.body.landing import LATE_S
from ingest.body.pace import Pace

from .landings import FakePace, answer, head, serving


async def test_bytes_buy_time_and_silence_ends_it() -> None:
    """`due` is asked again when its time has come: with what has arrived by then, and it alone decides."""
    asked: list[int] = []

    def due(received: int) -> float:
        asked.append(received)
        # At first now; once bytes have come a little later; then it is over.
        return asyncio.get_running_loop().time() + (0.01 if len(asked) < 3 else -1)

    async with serving(due=due) as (reader, writer, _):
        writer.write(head(100) + b"x")
        assert await answer(reader) == (400, "TimeoutError")
    assert len(asked) == 3


async def held_for_a_little_less_than_a_millisecond() -> None:
    """The story of the test below, on whichever loop."""
    asked: list[int] = []

    def due(received: int) -> float:
        asked.append(received)
        return asyncio.get_running_loop().time() + (0.0002 if len(asked) < 50 else -1)

    async with serving(due=due) as (reader, writer, _):
        writer.write(head(100) + b"x")
        async with asyncio.timeout(30):
            assert await answer(reader) == (400, "TimeoutError")
    assert len(asked) == 50


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_the_clock_goes_on_when_the_next_look_is_due_at_once(run: Callable[[Awaitable[None]], None]) -> None:
    """uvloop makes no timer of less than a millisecond, but a callback that does not know its time."""
    run(held_for_a_little_less_than_a_millisecond())


@pytest.mark.parametrize(("late_s", "told"), [(0.0, True), (LATE_S + 1, False)])
async def test_silence_counts_from_the_last_byte_and_not_from_when_it_was_seen(
    monkeypatch: pytest.MonkeyPatch,
    late_s: float,
    told: bool,  # noqa: FBT001
) -> None:
    """Bytes too few to wake us lie in the kernel since they came; after a stop of the node that is not counted."""
    monkeypatch.setattr("ingest.body.landing.quiet_ms", lambda _: 7000)
    loop, moves = asyncio.get_running_loop(), list[float]()

    class Told(FakePace):
        def moved(self, now: float, received: int) -> None:
            super().moved(now, received)
            moves.append(loop.time() - now)

    dues = [0.0]

    def pace(due: Callable[[int], float]) -> Pace:
        dues[:] = [loop.time() - late_s, 0.0]
        return Told(due)

    async with serving(due=lambda _: dues.pop(0), pace=pace) as (reader, writer, _):
        writer.write(head(100) + b"x")
        assert await answer(reader) == (400, "TimeoutError")
    assert (moves[-1] >= 7) is told


async def test_bytes_that_nobody_read_yet_buy_time_too() -> None:
    """Too few to wake us for lie in the kernel; they are counted when the time is up."""
    asked: list[int] = []

    def due(received: int) -> float:
        asked.append(received)
        return asyncio.get_running_loop().time() + (0.1 if len(asked) < 2 else -1)

    async with serving(due=due) as (reader, writer, begun):
        writer.write(head(200_000) + b"x")
        await begun.wait()
        writer.write(b"x" * 5000)
        assert await answer(reader) == (400, "TimeoutError")
    assert asked == [0, 5001]


@pytest.mark.parametrize(("late_s", "pardoned"), [(LATE_S + 1, True), (LATE_S / 2, False)])
async def test_time_in_which_the_node_did_not_run_is_not_charged(late_s: float, pardoned: bool) -> None:  # noqa: FBT001
    """A timer that is called much later than asked for shows it; the noise of a busy loop is less."""
    made: list[FakePace] = []
    loop = asyncio.get_running_loop()
    dues = [loop.time() - late_s, 0.0]

    def pace(due: Callable[[int], float]) -> Pace:
        dues[0] = loop.time() - late_s
        made.append(FakePace(due))
        return made[0]

    async with serving(due=lambda _: dues.pop(0), pace=pace) as (reader, writer, _):
        writer.write(head(100) + b"x")
        assert await answer(reader) == (400, "TimeoutError")
    assert (made[0].pardoned >= late_s) is pardoned


@pytest.mark.parametrize("error", [OSError, ValueError])
async def test_a_look_at_a_socket_that_was_just_closed_is_no_fault(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing waits in it then, and nothing is raised in a timer, where nobody would hear it."""

    def closed(*_: object) -> bytes:
        raise error

    monkeypatch.setattr("ingest.body.landing.fcntl", SimpleNamespace(ioctl=closed))
    async with serving(due=lambda _: 0.0) as (reader, writer, _):
        writer.write(head(100) + b"x")
        assert await answer(reader) == (400, "TimeoutError")
