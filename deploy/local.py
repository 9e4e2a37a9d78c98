"""Runs the stack on one machine: starts it in order, keeps `stack.json` up to date, and drains it at the end.

The stack is ready when every balancer considers every node healthy. The first SIGTERM or SIGINT cancels the task that
runs the stack, which then drains; a second signal kills everything. `plan` decides which programs the stack has.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Final

import aiohttp

from . import ready, redis_group, servers, stack
from .config import Config, Environment
from .plan import Options, Plan, Surroundings, plan
from .ports import Ports
from .rotation import rotating
from .state import claimed
from .supervisor import Keeper, Program, StartFailed, Supervisor

WORKERS_EVERY_S: Final = 0.5  # Seconds between two checks which workers run; restarts of programs are seen at once.
WORKERLESS_S: Final = 3.0  # An autoscaler without a worker after this time is ready too: its minimum may be 0.
SAME_S: Final = 0.3  # Two signals within this time count as one: timeout(1) signals a process and its group.


class LocalStack:
    """A running stack; `running` creates it."""

    def __init__(self, planned: Plan, supervisor: Supervisor, state: Path, own_pid: int) -> None:
        self.plan, self.state = planned, state
        self._supervisor, self._own_pid = supervisor, own_pid
        self.rolls_begun = self.rolls = self.rolls_broken = 0
        self.broken = ""
        self._worker_pages: dict[int, str] = {}  # The /metrics of the workers by process id, as far as they are known.

    @property
    def killed(self) -> bool:
        """Whether a second signal killed the programs during the drain."""
        return self._supervisor.killed

    @property
    def targets(self) -> tuple[str, ...]:
        """The balancers' addresses, for clients."""
        return tuple(balancer.url for balancer in self.plan.balancers)

    @property
    def file(self) -> Path:
        """The path of `stack.json`."""
        return self.state / stack.FILE

    def pid(self, program: Program) -> int:
        """The program's pid; while it is being restarted, its previous pid; 0 before its first start."""
        return self._supervisor.keepers[program.name].pid

    def record(self) -> stack.Stack:
        """The content of `stack.json` for the processes that run now."""
        planned, pid = self.plan, self.pid
        group = (program for _, program in planned.redis_group)
        shards = (shard.program for shard in planned.shards)
        stores = (server.program for server in planned.store_servers)
        own = (planned.redis_server, *group, *shards, *stores, planned.prometheus and planned.prometheus.program)
        workers = ready.children(pid(planned.autoscaler.program))
        return stack.Stack(
            balancers=tuple(stack.Balancer(each.url, each.admin, pid(each.program)) for each in planned.balancers),
            nodes=tuple(stack.Node(each.id, each.url, pid(each.program)) for each in planned.nodes),
            redis=planned.redis,
            store=planned.store,
            state=str(self.state),
            workers=tuple(stack.Process(worker) for worker in workers),
            autoscaler=stack.Process(pid(planned.autoscaler.program)),
            servers=tuple(stack.Server(server.name, pid(server)) for server in own if server),
            shards=tuple(shard.url for shard in planned.shards),
            supervisor=stack.Process(self._own_pid),
            metrics=self._pages(workers),
            targets=f"{planned.autoscaler.url}/v1/targets",
            prometheus=planned.prometheus.url if planned.prometheus else None,
            rolls_begun=self.rolls_begun,
            rolls=self.rolls,
            rolls_broken=self.rolls_broken,
            broken=self.broken,
        )

    def _pages(self, workers: tuple[int, ...]) -> tuple[stack.Page, ...]:
        planned, of_worker = self.plan, self._worker_pages
        return (
            *(stack.Page("balancer", each.program.name, f"{each.admin}/metrics") for each in planned.balancers),
            *(stack.Page("node", each.id, f"{each.url}/metrics") for each in planned.nodes),
            *(stack.Page("worker", f"worker-{pid}", of_worker[pid]) for pid in workers if pid in of_worker),
            stack.Page("autoscaler", planned.autoscaler.program.name, f"{planned.autoscaler.url}/metrics"),
        )

    async def start(self, deadline: float, session: aiohttp.ClientSession) -> None:
        """Start all programs; supervisor.StartFailed when one is not ready by `deadline` on the loop's clock."""
        planned = self.plan
        # Redis and store first, because the programs look for them when they start; the balancers last, when the nodes
        # that they look for exist.
        await self._start_redis(deadline)
        for server in planned.store_servers:  # all at once, because the members of a set wait for each other
            self._supervisor.start(server.program)
        for server in planned.store_servers:
            await self._up(server.program, partial(ready.serves, session, server.health), deadline)
        for node in planned.nodes:
            self._supervisor.start(node.program)
        for node in planned.nodes:
            await self._up(node.program, partial(ready.serves, session, f"{node.url}/readyz"), deadline)
        await self._up(planned.autoscaler.program, self._scales, deadline)
        for balancer in planned.balancers:
            self._supervisor.start(balancer.program)
        addresses = {node.id: node.url.removeprefix("http://") for node in planned.nodes}
        for balancer in planned.balancers:
            await self._up(balancer.program, partial(ready.knows_all, session, balancer.admin, addresses), deadline)
        if prometheus := planned.prometheus:
            prometheus.file.parent.mkdir(exist_ok=True)
            prometheus.file.write_text(prometheus.text, encoding="utf-8")
            await self._up(prometheus.program, partial(ready.serves, session, f"{prometheus.url}/-/ready"), deadline)

    async def _start_redis(self, deadline: float) -> None:
        """Start the first Redis, or the group in its place, and the shards."""
        planned = self.plan
        if planned.redis_group:
            await self._start_group(deadline)
        elif planned.redis_server:
            (self.state / "redis").mkdir(exist_ok=True)
            await self._up(planned.redis_server, partial(ready.redis_answers, planned.redis), deadline)
        elif not await ready.redis_answers(planned.redis):
            raise servers.ServerMissing(
                "no Redis answers at the address of --redis; it is not shown, because it may have a password"
            )
        for shard in planned.shards:
            shard.folder.mkdir(exist_ok=True)
            await self._up(shard.program, partial(ready.redis_answers, shard.url), deadline)

    async def _start_group(self, deadline: float) -> None:
        """Start the primary, its replica, then the Sentinels, which look at once who follows the primary."""
        members = self.plan.redis_group
        for member, program in members:
            await asyncio.to_thread(member.configure)
            check = ready.redis_follows if member.follows else ready.redis_answers
            await self._up(program, partial(check, member.url), deadline)
        for member, program in members:
            if member.watches:
                await self._up(program, partial(ready.can_fail_over, member.url, redis_group.PRIMARY), deadline)

    async def follow(self, session: aiohttp.ClientSession, say: Callable[[str], None]) -> None:
        """Write `stack.json` whenever its content changes, until cancelled."""
        written, changed = None, self._supervisor.changed
        while True:
            changed.clear()
            # In a thread: psutil reads /proc, which blocks.
            current = await asyncio.to_thread(self.record)
            if any(worker.pid not in self._worker_pages for worker in current.workers):
                self._worker_pages = await ready.worker_pages(session, current.targets)
                current = await asyncio.to_thread(self.record)
            try:
                if current != written:
                    stack.write(current, self.state)
                    written = current
            except OSError as error:
                say(f"{self.file} cannot be written: {error}")
            with suppress(TimeoutError):
                async with asyncio.timeout(WORKERS_EVERY_S):
                    await changed.wait()

    async def roll(self, session: aiohttp.ClientSession, wait_s: float) -> None:
        """Restart balancers and nodes one after another, each ready before the next; StartFailed when one is not ready.

        A new balancer process takes over the sockets of the old one. A node drains first, while the others serve its
        users.
        """
        planned, loop = self.plan, asyncio.get_running_loop()
        addresses = {node.id: node.url.removeprefix("http://") for node in planned.nodes}

        async def ready_again(keeper: Keeper, lives: int, url: str | None) -> bool:
            if keeper.lives == lives or keeper.retiring or not keeper.alive:
                return False
            if url and not await ready.serves(session, f"{url}/readyz"):
                return False
            return all([await ready.knows_all(session, each.admin, addresses) for each in planned.balancers])

        programs = [*((each.program, None) for each in planned.balancers), *((n.program, n.url) for n in planned.nodes)]
        for program, url in programs:
            keeper = self._supervisor.keepers[program.name]
            check = partial(ready_again, keeper, keeper.lives, url)
            keeper.restart()
            await self._supervisor.until(program.name, check, loop.time() + wait_s)

    async def roll_when(
        self, asked: asyncio.Event, session: aiohttp.ClientSession, wait_s: float, say: Callable[[str], None]
    ) -> None:
        """Do a rolling restart whenever `asked` is set, until cancelled; a failure leaves the other programs alone."""
        while True:
            await asked.wait()
            asked.clear()
            self.rolls_begun += 1
            self._supervisor.changed.set()
            say("restarting balancers and nodes one after another")
            try:
                await self.roll(session, wait_s)
            except StartFailed as error:
                self.rolls_broken, self.broken = self.rolls_broken + 1, str(error)
                say(f"restart broken off: {error}")
            else:
                self.rolls += 1
                say("restarted")
            self._supervisor.changed.set()

    async def _up(self, program: Program, check: Callable[[], Awaitable[bool]], deadline: float) -> None:
        if program.name not in self._supervisor.keepers:
            self._supervisor.start(program)
        await self._supervisor.until(program.name, check, deadline)

    async def _scales(self) -> bool:
        """Whether the autoscaler is ready: it has a worker, or has run for `WORKERLESS_S` and so may need none."""
        keeper = self._supervisor.keepers[self.plan.autoscaler.program.name]
        return bool(keeper.alive and ready.children(keeper.pid)) or keeper.lived_s >= WORKERLESS_S


@asynccontextmanager
async def running(
    options: Options,
    folder: Path,
    config: Config,
    *,
    say: Callable[[str], None],
    fresh: bool = False,
) -> AsyncIterator[LocalStack]:
    """Start a stack with its state in `folder` (absolute), yield it when ready, drain it on exit.

    `fresh` empties the folder first. The first SIGTERM or SIGINT cancels the task.

    Raises state.StateTaken, ports.PortTaken, servers.ServerMissing, supervisor.StartFailed, ValueError.
    """
    async with AsyncExitStack() as opened:
        state = opened.enter_context(claimed(folder, patience_s=config.stop_s, fresh=fresh))
        ports = opened.enter_context(Ports())
        around = Surroundings(state.folder, servers.ROOT, Environment.current(), config.auth_secret)
        planned = plan(options, ports, around)
        # The pids in it are of processes that are gone, and by now perhaps of others.
        (state.folder / stack.FILE).unlink(missing_ok=True)
        opened.callback(stack.clear, state.folder)
        session = await opened.enter_async_context(aiohttp.ClientSession())
        supervisor = Supervisor(stop_s=config.stop_s, keep=(state.lock,), say=say)
        asked = asyncio.Event()
        opened.enter_context(interrupts(supervisor, say))
        opened.enter_context(asks(asked))
        await opened.enter_async_context(supervisor)
        local = LocalStack(planned, supervisor, state.folder, os.getpid())
        await local.start(asyncio.get_running_loop().time() + config.start_s, session)
        stack.write(local.record(), state.folder)
        supervisor.accompany(local.follow(session, say), "follow")
        supervisor.accompany(rotating(local.state / "logs", say), "rotate")
        supervisor.accompany(local.roll_when(asked, session, config.start_s + config.stop_s, say), "roll")
        yield local


@contextmanager
def asks(event: asyncio.Event) -> Iterator[None]:
    """Inside the block, SIGUSR2 sets `event`, which asks for a rolling restart (the same signal as in HAProxy)."""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR2, event.set)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGUSR2)


@contextmanager
def interrupts(supervisor: Supervisor, say: Callable[[str], None]) -> Iterator[None]:
    """The first SIGTERM, SIGINT or SIGHUP cancels this task, which then drains; another one during the drain kills."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    hangs_up = signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN  # nohup(1) ignores SIGHUP; keep that.
    signals = (signal.SIGTERM, signal.SIGINT, *((signal.SIGHUP,) if hangs_up else ()))
    heard_at = 0.0

    def on_signal() -> None:
        nonlocal heard_at
        if not heard_at and not supervisor.draining and task:
            heard_at = loop.time()
            say("draining; a second signal kills")
            task.cancel()
        elif loop.time() - heard_at >= SAME_S:
            say("killing")
            supervisor.kill()

    for signum in signals:
        loop.add_signal_handler(signum, on_signal)
    try:
        yield
    finally:
        for signum in signals:
            loop.remove_signal_handler(signum)
