"""The coordinator: gathers the generators of a burst, deals the arrivals, and takes in what each of them tells.

Every generator is a process that joined over TCP, on this machine or another, so there is one way for all.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from ..clock import Clock
from ..errors import BenchError
from .beats import Arrival, Beat, Generator, share
from .messages import (
    HELLO,
    HELLO_BYTES_MAX,
    PONG,
    PROTOCOL,
    READY,
    TOLD,
    Beats,
    Done,
    Fire,
    Hello,
    Ping,
    Plan,
    Refused,
    Share,
    Stop,
    Wire,
    WireError,
)

# Times of generators are compared with each other and with `received_at`: above this a run is void.
CLOCK_OFF_MAX_MS: Final = 10.0
PINGS_MIN, PINGS_MAX, PING_GOOD_MS = 5, 50, 2.0  # asks on while even the quickest answer took longer than this
HELLO_S: Final = 10.0
READY_S: Final = 120.0
SILENCE_S: Final = 30.0  # a beat comes every half second
SHARE_ROWS: Final = 2000
LOCAL: Final = "local"  # the name of the machine of the coordinator


class GeneratorLost(BenchError):
    """A generator ended before the burst began."""


class RunVoid(Exception):  # not a BenchError: its exit code is 3
    """The run is void before anything was sent; the text says why."""


class Member:
    """A generator that joined."""

    def __init__(self, number: int, hello: Hello, wire: Wire) -> None:
        self.number, self.hello, self.wire = number, hello, wire
        self.arrivals: tuple[Arrival, ...] = ()
        self.ended = 0
        self.alive = True
        self.seen = Generator(name=f"generator {number} ({hello.host}, pid {hello.pid})")

    async def clock_ms(self, clock: Clock) -> float:
        """How far this generator's clock is ahead of ours in ms, by the quickest of some answers."""
        best = (float("inf"), 0.0)
        for count in range(1, PINGS_MAX + 1):
            asked = clock.now()
            await self.wire.send(Ping())
            pong = await self.wire.receive(PONG)
            # The quickest answer is the least wrong: its clock was read at most half of the trip away from the middle.
            took = clock.now() - asked
            best = min(best, (took * 1000, (pong.now - asked - took / 2) * 1000))
            if count >= PINGS_MIN and best[0] <= PING_GOOD_MS:
                break
        return round(best[1], 2)


class Coordinator:
    """Gathers `local` generators of this machine and those of `machines` others, and makes them one sender."""

    def __init__(
        self,
        plan: Plan,
        arrivals: Sequence[Arrival],
        clock: Clock,
        *,
        local: int,
        machines: int,
        say: Callable[[str], None],
    ) -> None:
        self._plan, self._arrivals, self._clock, self.say = plan, arrivals, clock, say
        self._local, self.machines = local, machines
        self._members: list[Member] = []
        self._strangers: set[Wire] = set()  # who has connected and not said who they are
        self.ended = False
        self._joined = asyncio.Condition()
        self._gathering = True
        self._beats: list[Beat] = []
        self._interrupted = False
        self.faults: list[str] = []

    async def welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take in a generator that connects, or tell it why not."""
        wire, hello = Wire(reader, writer), None
        try:
            hello = await self._hello(wire)
        finally:
            if hello is None:
                wire.close()
        if hello is None:
            return
        async with self._joined:
            refusal = self._refusal(hello)
            if refusal:
                wire.say(Refused(refusal))
                wire.close()
                return
            self._members.append(Member(len(self._members) + 1, hello, wire))
            self._joined.notify_all()
            if self.machines and not self._complete():
                self.say(f"{self._members[-1].seen.name} joined; {self._there()}")

    async def _hello(self, wire: Wire) -> Hello | None:
        """Who connects; None when they do not say it, or the coordinator ends before."""
        if self.ended:
            return None
        self._strangers.add(wire)
        try:
            async with asyncio.timeout(HELLO_S):
                return await wire.receive(HELLO, HELLO_BYTES_MAX)
        except (WireError, TimeoutError):
            return None
        finally:
            self._strangers.remove(wire)

    def _refusal(self, hello: Hello) -> str | None:
        if hello.protocol != PROTOCOL:
            return f"this generator speaks protocol {hello.protocol}, the coordinator {PROTOCOL}: run the same code"
        if not self._gathering:
            return "the burst has all its generators; start a new run to add one"
        machines = self._by_machine()
        # More generators of a machine that is in are welcome until all have come.
        if hello.machine not in machines and hello.machine != LOCAL and self._others() >= self.machines:
            return f"all {self.machines} machines have joined"
        there = machines[hello.machine]
        if there and hello.machine != LOCAL and len(there) >= there[0].hello.generators:
            return (
                f"machine {hello.machine} has joined already, with {len(there)} of {there[0].hello.generators} "
                "generators; one --join with --generators N sends from several processes of a machine"
            )
        return None

    def _there(self) -> str:
        """Who has joined of the other machines, and whose generators are still to come."""
        machines = {name: members for name, members in self._by_machine().items() if name != LOCAL}
        wanted = {name: members[0].hello.generators for name, members in machines.items()}
        whole = sum(len(members) >= wanted[name] for name, members in machines.items())
        partly = [f"{name} with {len(machines[name])} of {n}" for name, n in wanted.items() if len(machines[name]) < n]
        return "; ".join([f"{whole} of {self.machines} machines are here", *partly])

    def _by_machine(self) -> dict[str, list[Member]]:
        found: dict[str, list[Member]] = defaultdict(list)
        for member in self._members:
            found[member.hello.machine].append(member)
        return found

    def _others(self) -> int:
        return len(self._by_machine().keys() - {LOCAL})

    def _complete(self) -> bool:
        whole = {
            machine
            for machine, members in self._by_machine().items()
            if len(members) >= (self._local if machine == LOCAL else members[0].hello.generators)
        }
        return len(whole - {LOCAL}) >= self.machines and (not self._local or LOCAL in whole)

    async def gather(self) -> None:
        """Wait until all have joined, compare clocks, deal the arrivals; RunVoid when a clock is off."""
        async with self._joined:
            await self._joined.wait_for(self._complete)
        self._gathering = False
        for member in self._members:
            member.seen = msgspec.structs.replace(member.seen, clock_before_ms=await self._clock_of(member))
            self.say(f"{member.seen.name}: clock {member.seen.clock_before_ms:+.1f} ms")
        off = [each.seen for each in self._members if abs(each.seen.clock_before_ms) > CLOCK_OFF_MAX_MS]
        if off:
            named = ", ".join(f"{each.name} by {each.clock_before_ms:+.1f} ms" for each in off)
            raise RunVoid(f"nothing was sent: clocks differ by more than {CLOCK_OFF_MAX_MS:.0f} ms: {named}; set them")
        async with asyncio.TaskGroup() as group:
            for member, dealt in zip(self._members, share(self._arrivals, len(self._members)), strict=True):
                member.arrivals = dealt
                group.create_task(self._deal(member), name=f"deal-{member.number}")

    async def _clock_of(self, member: Member) -> float:
        try:
            async with asyncio.timeout(READY_S):
                return await member.clock_ms(self._clock)
        except (WireError, TimeoutError) as error:
            raise GeneratorLost(f"{member.seen.name} is gone before the start: {error}") from error

    async def _deal(self, member: Member) -> None:
        try:
            async with asyncio.timeout(READY_S):
                await member.wire.send(self._plan)
                for at in range(0, max(len(member.arrivals), 1), SHARE_ROWS):
                    last = at + SHARE_ROWS >= len(member.arrivals)
                    await member.wire.send(Share(member.arrivals[at : at + SHARE_ROWS], last=last))
                await member.wire.receive(READY)
        except (WireError, TimeoutError) as error:
            raise GeneratorLost(f"{member.seen.name} is gone before the start: {error}") from error

    async def send(self, moment_id: str, fires_at: float) -> None:
        """Let all generators send; returns when the last has told everything, or is gone."""
        for member in self._members:
            member.wire.say(Fire(moment_id, fires_at))
            if self._interrupted:
                member.wire.say(Stop())
        async with asyncio.TaskGroup() as group:
            for member in self._members:
                group.create_task(self._listen(member), name=f"listen-{member.number}")
        for member in self._members:
            if member.alive:
                await self._compare_again(member)

    async def _listen(self, member: Member) -> None:
        try:
            while True:
                async with asyncio.timeout(SILENCE_S):
                    message = await member.wire.receive(TOLD)
                if isinstance(message, Beats):
                    member.ended += len(message.beat.ended)
                    self._beats.append(msgspec.structs.replace(message.beat, generator=member.number))
                elif isinstance(message, Done):
                    member.seen = msgspec.structs.replace(member.seen, cpu_ms=message.cpu_ms)
                    return
        except (WireError, TimeoutError) as error:
            # What it sent is not known any more, so the run is void and ends.
            member.alive = False
            why = f"was silent for {SILENCE_S:.0f} s" if isinstance(error, TimeoutError) else f"died: {error}"
            self._beats.append(Beat(generator=member.number))  # nothing of it is in flight any more
            self.faults.append(f"{member.seen.name} {why}, after {member.ended} of {len(member.arrivals)} uploads")
            self.interrupt()

    # A clock that was right at the start may have been set meanwhile.
    async def _compare_again(self, member: Member) -> None:
        try:
            async with asyncio.timeout(READY_S):
                after = await member.clock_ms(self._clock)
        except (WireError, TimeoutError) as error:
            self.faults.append(f"{member.seen.name}: its clock could not be compared at the end: {error}")
            return
        member.seen = msgspec.structs.replace(member.seen, clock_after_ms=after)
        if abs(after) > CLOCK_OFF_MAX_MS:
            self.faults.append(f"{member.seen.name}: its clock is off by {after:+.1f} ms at the end")

    def interrupt(self) -> None:
        """Tell all generators to send no more."""
        self._interrupted = True
        for member in self._members:
            if member.alive:
                member.wire.say(Stop())

    def beats(self) -> list[Beat]:
        """What all generators told since the last call."""
        beats, self._beats = self._beats, []
        return beats

    def generators(self) -> list[Generator]:
        """The generators by number."""
        return [msgspec.structs.replace(member.seen, offered=len(member.arrivals)) for member in self._members]

    def close(self) -> None:
        """End all connections, and so the generators."""
        self.ended = True
        for wire in (*(member.wire for member in self._members), *self._strangers):
            wire.close()
