"""Generators that do as a test says, and a machine whose clock is wrong."""

import asyncio
from typing import Any

from bench.clock import SystemClock
from bench.replay.beats import Arrival
from bench.replay.messages import ASKED, PROTOCOL, Fire, Hello, Ping, Pong, Ready, Share, Wire

OPENED: list[Wire] = []


class Skewed:
    """The machine's clock, so many ms ahead."""

    def __init__(self, ahead_ms: float) -> None:
        self._clock, self.ahead_s = SystemClock(), ahead_ms / 1000

    def now(self) -> float:
        """Unix seconds, wrongly."""
        return self._clock.now() + self.ahead_s

    async def sleep(self, seconds: float) -> None:
        """As long as asked."""
        await self._clock.sleep(seconds)


class Scripted:
    """A generator that joins, and then only does as the test says."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.share: list[Arrival] = []

    @classmethod
    async def joined(
        cls, address: tuple[str, int], machine: str = "s", generators: int = 1, **hello: Any
    ) -> "Scripted":
        """One that said hello."""
        made = cls(Wire(*await asyncio.open_connection(*address)))
        OPENED.append(made.wire)
        said = {"protocol": PROTOCOL, "host": "h", "pid": 7, "machine": machine, "generators": generators} | hello
        await made.wire.send(Hello(**said))
        return made

    async def until_fired(self) -> None:
        """Answer as a generator does until the moment."""
        while True:
            message = await self.wire.receive(ASKED)
            if isinstance(message, Ping):
                self.wire.say(Pong(SystemClock().now()))
            elif isinstance(message, Share):
                self.share += message.arrivals
                if message.last:
                    self.wire.say(Ready())
            elif isinstance(message, Fire):
                return
