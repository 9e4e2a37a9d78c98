"""The gate lets in as many PUTs as are allowed, in order, and loses no place whoever gives up."""

import asyncio

import pytest

from ingest.commits import Commits
from ingest.gate import Gate, GateTimeout
from storage.blobs import QuorumLost, StoreUnavailable
from storage.existence import Superseded

PATIENT, IMPATIENT = 60.0, 0.001


def narrow() -> Commits:
    """One PUT at a time."""
    commits = Commits()
    commits.puts_max = 1.0
    return commits


async def settle() -> None:
    """Let all tasks come to rest."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_bodies_wait_their_turn() -> None:
    """One at a time, in the order they came."""
    gate, order, go = Gate(narrow(), wait_s_max=PATIENT), [], asyncio.Event()

    async def put(number: int) -> None:
        async with gate.passed():
            order.append(number)
            await go.wait()

    async with asyncio.TaskGroup() as tasks:
        for number in range(3):
            tasks.create_task(put(number))
        await settle()
        assert (order, gate.waiting) == ([0], 2)
        go.set()
    assert order == [0, 1, 2]


async def test_nobody_overtakes_who_waits() -> None:
    """Who comes when more PUTs have just been allowed stands behind those that were there."""
    commits, order, go = narrow(), [], asyncio.Event()
    gate = Gate(commits, wait_s_max=PATIENT)

    async def put(number: int) -> None:
        async with gate.passed():
            order.append(number)
            await go.wait()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(put(0))
        tasks.create_task(put(1))
        await settle()
        commits.puts_max = 2.0
        tasks.create_task(put(2))
        await settle()
        go.set()
    assert order == [0, 1, 2]


async def test_as_many_as_may_are_let_in_at_once() -> None:
    """Where one PUT ends and more than one place is free, more than one waiting body begins."""
    commits, passed, go = narrow(), [], asyncio.Event()
    gate = Gate(commits, wait_s_max=PATIENT)

    async def put(number: int) -> None:
        async with gate.passed():
            passed.append(number)
            await go.wait()

    async with asyncio.TaskGroup() as tasks:
        async with gate.passed():
            for number in range(3):
                tasks.create_task(put(number))
            await settle()
            commits.puts_max = 2.0
        await settle()
        assert passed == [0, 1]
        go.set()


async def test_the_store_is_judged_by_how_many_wait() -> None:
    """Each end of a PUT says how many bodies still wait for theirs."""
    told: list[int] = []

    class Listening(Commits):
        def ended(self, now: float, seconds: float, *, waiting: int, committed: bool = True) -> None:
            told.append(waiting)
            super().ended(now, seconds, waiting=waiting, committed=committed)

    commits = Listening()
    commits.puts_max = 1.0
    gate = Gate(commits, wait_s_max=PATIENT)

    async def put() -> None:
        async with gate.passed():
            await settle()

    async with asyncio.TaskGroup() as tasks:
        for _ in range(3):
            tasks.create_task(put())
    assert told == [2, 1, 0]


async def test_a_wait_has_an_end() -> None:
    """GateTimeout, and the place of who gave up goes to nobody."""
    commits = narrow()
    gate = Gate(commits, wait_s_max=IMPATIENT)

    async with gate.passed():
        with pytest.raises(GateTimeout):
            async with gate.passed():
                pass
        assert gate.waiting == 0
    assert commits.under_way == 0


async def test_a_body_that_is_cancelled_when_its_turn_comes_passes_the_turn_on() -> None:
    """The next body gets the turn that was not used."""
    commits = narrow()
    gate, passed = Gate(commits, wait_s_max=PATIENT), []

    async def put(number: int) -> None:
        async with gate.passed():
            passed.append(number)

    async with asyncio.TaskGroup() as tasks:
        async with gate.passed():
            first, _ = tasks.create_task(put(1)), tasks.create_task(put(2))
            await settle()
        first.cancel()
    assert (passed, commits.under_way) == ([2], 0)


@pytest.mark.parametrize(("error", "committed"), [(Superseded, 1), (StoreUnavailable, 0)])
async def test_errors_pass_and_count_for_what_they_are(error: type[Exception], committed: int) -> None:
    """`Superseded` is a decision of a store that works, and counts as a commit; an error of the store does not."""

    class Counting(Commits):
        committed = 0

        def ended(self, now: float, seconds: float, *, waiting: int, committed: bool = True) -> None:
            self.committed += committed
            super().ended(now, seconds, waiting=waiting, committed=committed)

    commits = Counting()
    gate = Gate(commits, wait_s_max=PATIENT)
    with pytest.raises(error):
        async with gate.passed():
            raise error
    assert (commits.committed, commits.under_way) == (committed, 0)


async def test_a_lost_quorum_is_no_measurement() -> None:
    """However long the PUT took: its end goes to `void`, that of any other failed PUT to `ended`."""
    told: list[str] = []

    class Telling(Commits):
        def ended(self, now: float, seconds: float, *, waiting: int, committed: bool = True) -> None:
            told.append("ended")
            super().ended(now, seconds, waiting=waiting, committed=committed)

        def void(self, now: float) -> None:
            told.append("void")
            super().void(now)

    gate = Gate(Telling(), wait_s_max=PATIENT)
    for error in (QuorumLost, StoreUnavailable):
        with pytest.raises(error):
            async with gate.passed():
                raise error
    assert told == ["void", "ended"]
    assert gate._commits.under_way == 0
