"""The processes of a run with several generators: starts those of this machine, and always ends them.

Each generator is a process that connects to the coordinator, on this or another machine. It has a session of its own:
Ctrl-C is for the process that started it, which tells it to stop.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from ..errors import BenchError
from .coordinator import LOCAL, Coordinator, GeneratorLost

END_S: Final = 10.0


@asynccontextmanager
async def coordinating(coordinator: Coordinator, address: tuple[str, int], local: int) -> AsyncIterator[Coordinator]:
    """Listen at the address, start the local generators, gather all; at the end, end them."""
    host, port = address
    async with asyncio.TaskGroup() as greeting:

        def welcome(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            # A task of ours: the stream's own would be logged, with its traceback, when the end cuts it off.
            if coordinator.ended:
                writer.close()
            else:
                greeting.create_task(coordinator.welcome(reader, writer), name="welcome")

        try:
            server = await asyncio.start_server(welcome, host, port)
        except OSError as error:
            raise BenchError(f"cannot listen at {host}:{port}: {error.strerror or error}") from error
        async with server, _gathered(coordinator, server, address, local):
            yield coordinator


@asynccontextmanager
async def _gathered(
    coordinator: Coordinator, server: asyncio.Server, address: tuple[str, int], local: int
) -> AsyncIterator[None]:
    """All generators, until the block ends."""
    if coordinator.machines:
        where = f"{address[0]}:{address[1]}"
        coordinator.say(f"waiting for {coordinator.machines} machines; on each: python -m bench replay --join {where}")
    bound = server.sockets[0].getsockname()
    async with AsyncExitStack() as stack:
        started = [await stack.enter_async_context(another((bound[0], bound[1]), LOCAL, local)) for _ in range(local)]
        stack.callback(coordinator.close)
        async with asyncio.TaskGroup() as group:
            watching = [group.create_task(_watch(child), name=f"child-{child.pid}") for child in started]
            await coordinator.gather()
            for task in watching:
                task.cancel()
        yield


@asynccontextmanager
async def another(address: tuple[str, int], machine: str, generators: int) -> AsyncIterator[asyncio.subprocess.Process]:
    """A generator as a process, one of so many of this machine; at the end, it is waited for, then killed."""
    where, who = f"{address[0]}:{address[1]}", f"{machine}:{generators}"
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench", "replay", "--join", where, "--machine", who),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield child
    finally:
        await _end(child)


async def _watch(child: asyncio.subprocess.Process) -> None:
    """A local generator that ends before it has joined ends the gathering."""
    code = await child.wait()
    raise GeneratorLost(f"generator process {child.pid} ended with {code} before the start")


async def _end(child: asyncio.subprocess.Process) -> None:
    """Wait for the generator to notice that its connection has ended; kill it when it does not."""
    try:
        async with asyncio.timeout(END_S):
            await child.wait()
    except TimeoutError:
        child.kill()
        await child.wait()
