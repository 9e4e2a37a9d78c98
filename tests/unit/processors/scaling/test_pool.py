"""The pool of worker processes, with processes that are none."""

import asyncio

import pytest

from processors.scaling.pool import RESTART_MAX_S, SETTLED_S, SILENT_S, STARTING_S, Pool


class Fake:
    """A process that ends when told, unless it is stubborn."""

    def __init__(self, pid: int, slot: int, *, stubborn: bool = False) -> None:
        self.pid = pid
        self.slot = slot
        self.returncode: int | None = None
        self.told: list[str] = []
        self._stubborn = stubborn
        self._ended = asyncio.Event()

    def end(self, code: int) -> None:
        """It is gone."""
        self.returncode = code
        self._ended.set()

    def terminate(self) -> None:
        """SIGTERM."""
        self.told.append("SIGTERM")
        if not self._stubborn:
            self.end(0)

    def kill(self) -> None:
        """SIGKILL."""
        self.told.append("SIGKILL")
        self.end(-9)

    async def wait(self) -> int:
        """Until it ended."""
        await self._ended.wait()
        return self.returncode or 0


class Factory:
    """Starts fakes, and fails while told to."""

    def __init__(self, *, stubborn: bool = False) -> None:
        self.started: list[Fake] = []
        self.broken = False
        self._stubborn = stubborn

    async def __call__(self, slot: int) -> Fake:
        """The next process."""
        if self.broken:
            raise OSError("no more processes")
        self.started.append(Fake(100 + len(self.started), slot, stubborn=self._stubborn))
        return self.started[-1]


async def test_it_grows_and_shrinks_from_the_new_end() -> None:
    """As many as desired; the newest go first, by SIGTERM, and the oldest stay."""
    factory = Factory()
    pool = Pool(factory)

    await pool.tend(4, 0.0)
    assert pool.pids == [100, 101, 102, 103]
    await pool.tend(1, 1.0)

    assert pool.pids == [100]
    assert [one.told for one in factory.started] == [[], ["SIGTERM"], ["SIGTERM"], ["SIGTERM"]]


async def test_the_idle_are_sent_home_before_the_busy() -> None:
    """Of the idle the newest goes first; a busy one only when no idle one is left."""
    pool = Pool(Factory())
    await pool.tend(5, 0.0)

    await pool.tend(4, 1.0, idle={101, 102})
    assert pool.pids == [100, 101, 103, 104]
    await pool.tend(2, 2.0, idle={101})

    assert pool.pids == [100, 103]


async def test_who_is_leaving_keeps_its_slot_until_it_is_gone() -> None:
    """Two workers never have the same metrics port."""
    factory = Factory(stubborn=True)
    pool = Pool(factory)
    await pool.tend(2, 0.0)
    await pool.tend(1, 1.0)
    await pool.tend(2, 2.0)
    assert [one.slot for one in factory.started] == [0, 1, 2]

    factory.started[1].end(0)
    await pool.tend(3, 3.0)

    assert [one.slot for one in factory.started] == [0, 1, 2, 1]


async def test_a_worker_that_had_settled_is_replaced_at_once() -> None:
    """Its death says nothing about the next one."""
    factory = Factory()
    pool = Pool(factory)
    await pool.tend(1, 0.0)
    factory.started[0].end(-9)

    await pool.tend(1, SETTLED_S + 1)

    assert pool.pids == [101]


async def test_workers_that_cannot_start_are_not_a_fork_storm() -> None:
    """Ten minutes of workers that die at once cost a few dozen starts; then one that lives is kept."""
    factory = Factory()
    pool = Pool(factory)
    for second in range(600):
        await pool.tend(1, float(second))
        if pool.size:
            factory.started[-1].end(1)
    assert 600 / RESTART_MAX_S <= len(factory.started) <= 40

    await pool.tend(1, 600.0)
    await pool.tend(1, 600.0 + RESTART_MAX_S)

    assert pool.size == 1


async def test_a_machine_without_room_is_asked_again_later() -> None:
    """A start that fails is delayed like a death, and ends nothing."""
    factory = Factory()
    factory.broken = True
    pool = Pool(factory)
    await pool.tend(2, 0.0)
    assert pool.size == 0

    factory.broken = False
    await pool.tend(2, 0.1)
    assert pool.size == 0
    await pool.tend(2, 1.0)

    assert pool.size == 2


async def test_closing_sends_everybody_home() -> None:
    """SIGTERM to all; nobody is killed who goes."""
    factory = Factory()
    pool = Pool(factory)
    await pool.tend(3, 0.0)

    await pool.close(1.0)

    assert [one.told for one in factory.started] == [["SIGTERM"]] * 3
    assert pool.size == 0


async def test_who_does_not_go_within_the_grace_is_killed(caplog: pytest.LogCaptureFixture) -> None:
    """The last resort, said in the log."""
    factory = Factory(stubborn=True)
    pool = Pool(factory)
    await pool.tend(1, 0.0)

    await pool.close(0.01)

    assert factory.started[0].told == ["SIGTERM", "SIGKILL"]
    assert "did not finish" in caplog.text


async def test_a_silent_worker_is_killed_and_replaced() -> None:
    """It was heard, and then for longer than `SILENT_S` not, as one that is stopped; its neighbour stays."""
    factory = Factory(stubborn=True)
    pool = Pool(factory)
    now = 0.0
    await pool.tend(2, now, heard=())
    while now < SILENT_S + 2:
        assert factory.started[0].told == []
        now += 1.0
        await pool.tend(2, now, heard={101} | ({100} if now <= 2 else set()))
    for _ in range(2):
        now += 1.0
        await pool.tend(2, now, heard={101})
    assert [one.told for one in factory.started] == [["SIGKILL"], [], []]
    assert pool.pids == [101, 102]


async def test_a_worker_that_starts_has_longer() -> None:
    """It loads libraries and opens a store; but one that never comes is replaced too."""
    factory, now = Factory(), 0.0
    pool = Pool(factory)
    while now <= STARTING_S:
        await pool.tend(1, now, heard=())
        now += 1.0
    assert factory.started[0].told == []
    await pool.tend(1, now, heard=())
    assert factory.started[0].told == ["SIGKILL"]


async def test_nobody_is_silent_while_nobody_can_be_heard() -> None:
    """Redis is away for an hour, then this process stood still for one: no worker is killed for it."""
    factory = Factory()
    pool = Pool(factory)
    for now in (0.0, 1.0):
        await pool.tend(1, now, heard={100})
    for now in range(2, 3600):
        await pool.tend(1, float(now), heard=None)
    for now in (3600.0, 7200.0, 7201.0):
        await pool.tend(1, now, heard=())
    await pool.tend(1, 7202.0, heard={100})
    assert factory.started[0].told == []


async def test_one_that_leaves_and_is_silent_is_killed() -> None:
    """A stopped process does not follow SIGTERM."""
    factory, now = Factory(stubborn=True), 1.0
    pool = Pool(factory)
    await pool.tend(1, 0.0, heard=())
    await pool.tend(1, now, heard={100})
    while now < SILENT_S + 4:
        now += 1.0
        await pool.tend(0, now, heard=())
    assert factory.started[0].told == ["SIGTERM", "SIGKILL"]
