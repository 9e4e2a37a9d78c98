"""The supervisor over real small processes: lives, backoff, drain, failure."""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import psutil
import pytest

from deploy.supervisor import Keeper, Program, StartFailed, Supervisor

SLEEP = "import signal; signal.pause()"
STUBBORN = "import signal, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); signal.pause()"
LAST_WORD = """
import signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
print("up", flush=True)
signal.sigwait([signal.SIGTERM])
print("term", flush=True)
"""


def program(folder: Path, name: str, script: str, *words: str, drains: int = 0) -> Program:
    """A Python one-liner as a program."""
    return Program(
        name=name,
        command=(sys.executable, "-c", script, *words),
        environment={"PATH": os.defpath},
        folder=folder,
        log=folder / f"{name}.log",
        drains=drains,
    )


def supervisor(said: list[str], stop_s: float = 30.0) -> Supervisor:
    """One that collects what it says."""
    return Supervisor(stop_s=stop_s, say=said.append)


def far() -> float:
    """A deadline that a test never meets."""
    return asyncio.get_running_loop().time() + 60


def lives(keeper: Keeper, count: int) -> Callable[[], Awaitable[bool]]:
    """A check: the program runs for the count-th time."""

    async def check() -> bool:
        return keeper.alive and keeper.lives == count

    return check


def wrote(keeper: Keeper, text: str) -> Callable[[], Awaitable[bool]]:
    """A check: the log has this text."""

    async def check() -> bool:
        return text in keeper.program.log.read_text() if keeper.program.log.exists() else False

    return check


async def test_a_program_that_is_killed_is_started_again(tmp_path: Path) -> None:
    """Another pid, the same program, and a word about it."""
    said: list[str] = []
    async with supervisor(said) as running:
        keeper = running.start(program(tmp_path, "sleeper", SLEEP))
        await running.until("sleeper", lives(keeper, 1), far())
        first = keeper.pid
        running.changed.clear()
        os.kill(first, signal.SIGKILL)
        await running.until("sleeper", lives(keeper, 2), far())

        assert keeper.pid != first
        assert running.changed.is_set()
        assert not psutil.pid_exists(first)
    assert said[0] == f"sleeper (pid {first}) was killed by signal 9; starting it again in 0.2 s"
    assert not psutil.pid_exists(keeper.pid)


async def test_a_restart_waits_for_the_drain_and_not_for_a_pause(tmp_path: Path) -> None:
    """A program that drains on SIGTERM begins its next life right after, without a word of failure."""
    said: list[str] = []
    async with supervisor(said) as kept:
        keeper = kept.start(program(tmp_path, "node", LAST_WORD))
        await kept.until("node", wrote(keeper, "up"), far())
        before = keeper.pid
        keeper.restart()
        await kept.until("node", lives(keeper, 2), far())
        assert keeper.pid != before
        assert (said, keeper.quick_ends) == ([], 0)


async def test_an_overlapping_restart_lets_the_old_life_end_by_itself(tmp_path: Path) -> None:
    """The next life runs beside the old one, which is not signalled as long as it has time to leave."""
    said: list[str] = []
    leaves = "import os, pathlib, select\nprint('up', os.getpid(), flush=True)\n"
    leaves += "while not pathlib.Path(f'leave-{os.getpid()}').exists(): select.select([], [], [], 0.02)"
    async with supervisor(said) as kept:
        overlapping = msgspec.structs.replace(program(tmp_path, "lb", leaves), overlaps=True)
        keeper = kept.start(overlapping)
        await kept.until("lb", wrote(keeper, "up"), far())
        before = keeper.pid
        keeper.restart()
        await kept.until("lb", lives(keeper, 2), far())
        os.kill(before, 0)
        assert (keeper.retiring, keeper.pid != before) == (1, True)
        (tmp_path / f"leave-{before}").touch()

        async def retired() -> bool:
            return keeper.retiring == 0

        await kept.until("lb", retired, far())
        assert (said, keeper.alive, keeper.lives) == ([], True, 2)


async def test_the_pauses_between_lives_grow(tmp_path: Path) -> None:
    """Fast first, then twice as long each time."""
    said: list[str] = []
    async with supervisor(said) as running:
        keeper = running.start(program(tmp_path, "crasher", "raise SystemExit(3)"))
        while keeper.lives < 3:
            await running.changed.wait()
            running.changed.clear()
    assert [word.rsplit(maxsplit=2)[1] for word in said[:2]] == ["0.2", "0.4"]
    assert "ended with 3" in said[0]


async def test_a_program_that_ends_again_and_again_fails_the_start(tmp_path: Path) -> None:
    """The error holds the end of its log, without what earlier stacks wrote there."""
    (tmp_path / "crasher.log").write_text("from another day\n")
    async with supervisor([]) as running:
        running.start(program(tmp_path, "crasher", "raise SystemExit('no such thing')"))
        other = running.start(program(tmp_path, "sleeper", SLEEP))
        with pytest.raises(StartFailed, match=r"crasher does not start(.|\n)*no such thing") as failed:
            await running.until("sleeper", lives(other, 99), far())
    assert "from another day" not in str(failed.value)
    assert not psutil.pid_exists(other.pid)


async def test_invalid_settings_fail_the_start_at_once_and_are_told_once(tmp_path: Path) -> None:
    """Exit code 2 is that of invalid options and settings: another start would end the same way."""
    said: list[str] = []
    async with supervisor(said) as running:
        keeper = running.start(program(tmp_path, "node", "import sys; print('unknown setting X'); sys.exit(2)"))
        other = running.start(program(tmp_path, "sleeper", SLEEP))
        with pytest.raises(StartFailed, match="node does not start") as failed:
            await running.until("sleeper", lives(other, 99), far())
    assert str(failed.value).count("unknown setting X") == 1
    assert (keeper.lives, said) == (1, [])


async def test_a_program_that_cannot_be_run_fails_the_start(tmp_path: Path) -> None:
    """A command that does not exist is no crash of ours."""
    absent = Program(
        name="absent", command=("/no/such/program",), environment={}, folder=tmp_path, log=tmp_path / "absent.log"
    )
    said: list[str] = []
    async with supervisor(said) as running:
        keeper = running.start(absent)
        with pytest.raises(StartFailed, match=r"absent does not start: it cannot be started .*No such file"):
            await running.until("absent", lives(keeper, 1), far())
    assert "cannot be started" in said[0]


async def test_what_is_not_ready_in_time_fails_the_start(tmp_path: Path) -> None:
    """The deadline is the caller's."""
    async with supervisor([]) as running:
        keeper = running.start(program(tmp_path, "sleeper", SLEEP))
        with pytest.raises(StartFailed, match="sleeper is not ready in time"):
            await running.until("sleeper", lives(keeper, 2), asyncio.get_running_loop().time())


async def test_the_drain_goes_place_by_place(tmp_path: Path) -> None:
    """Who drains first has ended before the next one is told."""
    script = LAST_WORD.replace('print("term", flush=True)', "open(sys.argv[1], 'a').write(sys.argv[2])")
    order = tmp_path / "order"
    async with supervisor([]) as running:
        for name, place in (("c", 3), ("a", 1), ("b", 2)):
            keeper = running.start(program(tmp_path, name, script, str(order), name, drains=place))
            await running.until(name, wrote(keeper, "up"), far())
    assert order.read_text() == "abc"


async def test_a_program_that_does_not_drain_is_killed(tmp_path: Path) -> None:
    """The deadline of the drain is kept, and said."""
    said: list[str] = []
    async with supervisor(said, stop_s=0.1) as running:
        keeper = running.start(program(tmp_path, "mule", STUBBORN))
        await running.until("mule", wrote(keeper, "up"), far())
    assert said == ["mule did not drain in 0 s; killing it"]
    assert not psutil.pid_exists(keeper.pid)


async def test_kill_ends_everything_at_once(tmp_path: Path) -> None:
    """The deadline of the drain does not matter then."""
    async with supervisor([], stop_s=3600) as running:
        keeper = running.start(program(tmp_path, "mule", STUBBORN))
        await running.until("mule", wrote(keeper, "up"), far())
        running.kill()
    assert not psutil.pid_exists(keeper.pid)


async def test_what_a_killed_program_had_started_ends_with_the_stack(tmp_path: Path) -> None:
    """An autoscaler that is killed leaves its workers; they are ended, also those of an earlier life."""
    script = "import subprocess, sys\nc = subprocess.Popen(['sleep', '600'])\nprint(c.pid, flush=True)\nc.wait()"
    async with supervisor([]) as running:
        keeper = running.start(program(tmp_path, "scaler", script))
        await running.until("scaler", wrote(keeper, "\n"), far())
        os.kill(keeper.pid, signal.SIGKILL)
        await running.until("scaler", lives(keeper, 2), far())
    orphan = int(keeper.program.log.read_text().split()[0])
    assert not psutil.pid_exists(orphan)


async def test_an_error_of_the_body_comes_out_as_it_is(tmp_path: Path) -> None:
    """Neither wrapped in a group, nor before everything has ended."""
    running = supervisor([])

    async def body() -> None:
        async with running:
            keeper = running.start(program(tmp_path, "sleeper", SLEEP))
            await running.until("sleeper", lives(keeper, 1), far())
            raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        await body()
    assert not psutil.pid_exists(running.keepers["sleeper"].pid)


async def test_a_companion_lives_as_long_as_the_programs() -> None:
    """It is cancelled at the end, not waited for."""
    begun = asyncio.Event()

    async def forever() -> None:
        begun.set()
        await asyncio.Event().wait()

    async with supervisor([]) as running:
        running.accompany(forever(), "forever")
        await begun.wait()
