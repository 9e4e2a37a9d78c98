"""deploy.restart: one at a time, and the truth of what became of it; the real thing is tests/e2e/test_stack_restart.py.

The supervisor here is a thread that does what `LocalStack.roll_when` does to the record, when the signal tells it to.
"""

import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from deploy import stack
from deploy.restart import RestartFailed, restart

ROLL_S = 0.3


def record(state: Path, *, runs: bool = True) -> stack.Stack:
    """A stack that this process supervises."""
    balancers = (stack.Balancer("http://127.0.0.1:1", "http://127.0.0.1:2", 1),) if runs else ()
    return stack.Stack(
        balancers=balancers,
        nodes=(),
        redis="",
        store="",
        state=str(state),
        workers=(),
        autoscaler=None,
        servers=(),
        supervisor=stack.Process(os.getpid()),
    )


class Supervisor:
    """Rolls once for each signal heard since the last roll began; `breaks` says why a roll does not come to its end."""

    def __init__(self, state: Path) -> None:
        self.state, self.breaks = state, ""
        self.asked, self.over = threading.Event(), threading.Event()
        self.times: list[tuple[float, float]] = []
        stack.write(record(state), state)
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        while not self.over.is_set():
            if not self.asked.wait(0.02):
                continue
            self.asked.clear()
            begun = time.monotonic()
            self._note(rolls_begun=1)
            self.over.wait(ROLL_S)
            self.times.append((begun, time.monotonic()))
            self._note(rolls_broken=1) if self.breaks else self._note(rolls=1)

    def _note(self, **more: int) -> None:
        before = stack.read(self.state)
        counts = {name: getattr(before, name) + count for name, count in more.items()}
        stack.write(msgspec.structs.replace(before, broken=self.breaks, **counts), self.state)


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    """One that hears this process' SIGUSR2."""
    made = Supervisor(tmp_path)
    before = signal.signal(signal.SIGUSR2, lambda *_: made.asked.set())
    yield made
    made.over.set()
    made.thread.join()
    signal.signal(signal.SIGUSR2, before)


def test_where_nothing_runs_it_says_so(tmp_path: Path) -> None:
    """No record, and the record of a stack that has stopped."""
    with pytest.raises(RestartFailed, match="no stack in"):
        restart(tmp_path, 1, print)
    stack.write(record(tmp_path, runs=False), tmp_path)
    with pytest.raises(RestartFailed, match="nothing runs"):
        restart(tmp_path, 1, print)


def test_two_at_once_are_two_restarts(supervisor: Supervisor) -> None:
    """Each reports the end of a restart that began after it was asked for; who waits is told so once."""
    said: list[str] = []

    def asked() -> tuple[float, float]:
        begun = time.monotonic()
        restart(supervisor.state, 240, said.append)
        return begun, time.monotonic()

    with ThreadPoolExecutor(3) as pool:
        commands = [job.result() for job in [pool.submit(asked) for _ in range(3)]]
    assert len(supervisor.times) == 3
    for begun, ended in commands:
        assert any(begun <= roll_begun and roll_ended <= ended for roll_begun, roll_ended in supervisor.times)
    assert len(said) == 2
    assert all("waiting for its end" in line for line in said)


def test_a_restart_whose_command_was_interrupted_is_waited_for(supervisor: Supervisor) -> None:
    """Its end is not taken for the end of the one asked for now."""
    supervisor.asked.set()
    while not stack.read(supervisor.state).rolls_begun:
        pass
    restart(supervisor.state, 240, print)
    assert len(supervisor.times) == 2


def test_one_that_is_broken_off_fails_at_once_and_says_why(supervisor: Supervisor) -> None:
    """Not after the whole timeout."""
    supervisor.breaks = "node-a does not start"
    with pytest.raises(RestartFailed, match="broken off: node-a does not start"):
        restart(supervisor.state, 600, print)


def test_who_cannot_have_its_turn_in_time_fails(supervisor: Supervisor) -> None:
    """And has restarted nothing."""
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(restart, supervisor.state, 60, print)
        while not stack.read(supervisor.state).rolls_begun:
            pass
        with pytest.raises(RestartFailed, match="nothing done in time: another command"):
            restart(supervisor.state, 0, print)
        first.result()
    assert len(supervisor.times) == 1
