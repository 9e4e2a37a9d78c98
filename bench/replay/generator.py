"""A generator of load: a process that joins a coordinator, sends its share of a burst and tells what happened.

It needs the coordinator's address and nothing else: targets, arrivals and tokens come over the connection.
"""

import asyncio
import gc
import os
import random
import socket
import time
from contextlib import AsyncExitStack
from typing import Final

from ..client import Client
from ..clock import Clock
from ..connections import Connections
from ..errors import BenchError
from ..photos import Gallery
from .beats import Arrival
from .messages import (
    ASKED,
    PROTOCOL,
    Beats,
    Done,
    Fire,
    Hello,
    Ping,
    Plan,
    Pong,
    Ready,
    Refused,
    Share,
    Stop,
    ToGenerator,
    Wire,
    WireError,
)
from .sender import Photos, Sender

BEAT_S: Final = 0.5


class JoinFailed(BenchError):
    """The generator could not join, or lost its coordinator before the end of the run; the text says why."""


class Generator:
    """One generator's side of the conversation."""

    def __init__(self, wire: Wire, clock: Clock) -> None:
        self._wire, self._clock = wire, clock
        self._plan: Plan | None = None
        self._arrivals: list[Arrival] = []
        self._photos: Photos | None = None
        self._sender: Sender | None = None
        self._done = False

    async def serve(self, hello: Hello) -> None:
        """Join and do what the coordinator says, until it ends the connection after the run; JoinFailed before."""
        await self._wire.send(hello)
        try:
            async with AsyncExitStack() as stack, asyncio.TaskGroup() as group:
                try:
                    while True:
                        await self._obey(await self._wire.receive(ASKED), stack, group)
                finally:
                    # The connection has ended: nobody would hear what is sent from now on.
                    if self._sender:
                        self._sender.interrupt()
        except* WireError as errors:
            # After the run the coordinator ends the connection, which is no error.
            if not self._done:
                raise JoinFailed(f"the coordinator is gone before the run has ended: {errors.exceptions[0]}") from None

    async def _obey(self, message: ToGenerator, stack: AsyncExitStack, group: asyncio.TaskGroup) -> None:
        match message:
            case Ping():
                self._wire.say(Pong(self._clock.now()))
            case Plan():
                self._plan = message
            case Share():
                self._arrivals += message.arrivals
                if message.last and self._plan:
                    config = self._plan.config
                    # In a thread: rendering takes seconds, in which the clock must still be told.
                    self._photos = await asyncio.to_thread(Gallery, config.photo_seed, self._plan.photo_bytes_max)
                    gc.freeze()  # the arrivals stay to the end: no collection need look at them
                    self._wire.say(Ready())
            case Fire():
                self._sender = await self._made(stack)
                group.create_task(self._send(self._sender, message), name="sending")
            case Stop():
                if self._sender:
                    self._sender.interrupt()
            case Refused():
                raise JoinFailed(message.why)

    async def _made(self, stack: AsyncExitStack) -> Sender:
        plan = self._plan
        if plan is None or self._photos is None:
            raise JoinFailed("the coordinator fired before it sent the plan")
        connections = Connections(plan.config.connections_max, self._clock, fresh=plan.fresh)
        await stack.enter_async_context(connections)
        rng, resumes = random.Random(), plan.resume
        client = Client(connections, plan.targets, plan.config, self._clock, rng, resumes=resumes)
        return Sender(self._arrivals, self._photos, client, self._clock, obey_uplink=plan.obey_uplink)

    async def _send(self, sender: Sender, fire: Fire) -> None:
        began = time.process_time()
        async with asyncio.TaskGroup() as group:
            beating = group.create_task(self._beat(sender), name="beats")
            await sender.send(fire.moment_id, fire.fires_at)
            beating.cancel()
        await self._tell(sender)
        self._done = True
        await self._wire.send(Done((time.process_time() - began) * 1000))

    async def _beat(self, sender: Sender) -> None:
        while True:
            await self._clock.sleep(BEAT_S)
            await self._tell(sender)

    async def _tell(self, sender: Sender) -> None:
        for beat in sender.beats():
            await self._wire.send(Beats(beat))


async def join(address: tuple[str, int], machine: str, generators: int, clock: Clock) -> None:
    """Join the coordinator at this address as one of so many generators of this machine, and serve it."""
    host, port = address
    try:
        reader, writer = await asyncio.open_connection(host, port)
    except OSError as error:
        raise JoinFailed(f"no coordinator answers at {host}:{port}: {error.strerror or error}") from error
    wire = Wire(reader, writer)
    try:
        await Generator(wire, clock).serve(
            Hello(protocol=PROTOCOL, host=socket.gethostname(), pid=os.getpid(), machine=machine, generators=generators)
        )
    finally:
        wire.close()
