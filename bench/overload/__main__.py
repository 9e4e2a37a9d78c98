"""`python -m bench.overload`: a stack under 1, 2, 4 and 10 times its capacity, then with a slow store (a tenth).

The stack is one balancer, one node and a real MinIO behind a proxy with a limited rate in bytes/s. The limit makes the
store the bottleneck and not this machine, whose cores the phones share. Capacity is measured first, by offering twice
what the proxy lets through. Then phones arrive at random (open loop) at multiples of the capacity; a phone that is
refused retries as `client.py` defines. No worker runs, because rendering is not measured. Goodput is pairs accepted a
second. A pair is wrongly late when its `received_at` lies in none of the tries up to the first that got a ticket.
"""

import asyncio
import contextlib
import random
import sys
import tempfile
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import aiohttp
import msgspec
import uvloop

from .. import command
from ..client import Client, multipart, token
from ..clock import SystemClock
from ..config import Config, load
from ..connections import Connections
from ..files import write
from ..outcome import Attempt, Outcome, Upload
from ..photos import Gallery, Side
from ..service import Moment, Service
from ..throttle import Throttle
from .rows import Phase, chart, rows
from .stack import Stack, overloaded_stack

TIMES: Final = (1, 2, 4, 10)
PHOTO_BYTES: Final = 40_000
PAIR_BYTES: Final = 2 * PHOTO_BYTES + 2048  # both photos, the receipt and the request's head
# The limit makes the store the bottleneck and not this machine, whose cores the phones share.
PAIRS_S: Final = 20  # the rate of the proxy
SLOWER: Final = 10
FULL: Final = 2
MARGIN_S: Final = 0.05
RECOVERY: Final = 0.9  # load after the overload, as a part of capacity
QUIET_S: Final = 0.5


class Lengths(msgspec.Struct, frozen=True):
    """The length of each part of the run, in seconds."""

    capacity_s: float = 10.0
    phase_s: float = 40.0
    after_s: float = 30.0
    slow_s: float = 60.0


QUICK: Final = Lengths(capacity_s=5.0, phase_s=8.0, after_s=8.0, slow_s=14.0)


class Run:
    """All parts of the bench on one stack."""

    def __init__(
        self, stack: Stack, throttle: Throttle, phones: Connections, ops: aiohttp.ClientSession, config: Config
    ) -> None:
        self._stack, self._throttle, self._secret = stack, throttle, config.auth_secret
        self._clock, self._rng = SystemClock(), random.Random(1)
        self._client = Client(phones, [stack.url], config, self._clock, random.Random(2))
        self._service = Service(ops, [stack.url], config, self._clock)
        gallery = Gallery(config.photo_seed, PHOTO_BYTES)
        sides: tuple[Side, Side] = ("front", "back")
        self._body = multipart(*(gallery.photo("0", side, PHOTO_BYTES) for side in sides))
        self._users = 0

    async def phases(self, lengths: Lengths) -> tuple[Phase, ...]:
        """Measure capacity, its multiples and the recovery; then capacity and 10 times that with a slow store."""
        found = []
        capacity = await self.capacity(lengths.capacity_s)
        for times in TIMES:
            after_s = lengths.after_s if times == TIMES[-1] else 0.0
            found.append(await self.offered(times, capacity, lengths.phase_s, after_s))
        self._throttle.bytes_s /= SLOWER
        slow = await self.capacity(lengths.slow_s / 2)
        return (*found, await self.offered(TIMES[-1], slow, lengths.slow_s, 0.0, slow=True))

    async def capacity(self, seconds: float) -> float:
        """Pairs accepted a second while more pairs arrive than the proxy lets through."""
        let_through = self._throttle.bytes_s / PAIR_BYTES
        # What the proxy lets through is an upper bound; what comes through is the capacity.
        phase = await self.offered(FULL, let_through, seconds, 0.0)
        print(f"capacity {phase.steady:.1f} pairs/s; the throttling proxy allows {let_through:.1f}", flush=True)
        return phase.steady

    async def offered(
        self, times: float, capacity: float, seconds: float, after_s: float, *, slow: bool = False
    ) -> Phase:
        """Arrivals at `times` the capacity for `seconds`, then just below capacity for `after_s`."""
        moment, began = await self._moment(seconds)
        phase = Phase(times=times, slow=slow, capacity=capacity, seconds=seconds, after_s=after_s, began=began)

        async def arrivals() -> None:
            async with asyncio.TaskGroup() as phones:
                at, end = self._clock.now(), self._clock.now() + seconds
                while at < end + after_s:
                    rate = capacity * (times if at < end else RECOVERY)
                    at += self._rng.expovariate(rate)
                    await self._clock.sleep(at - self._clock.now())
                    phase.lag_s = max(phase.lag_s, self._clock.now() - at)
                    phase.offered += at < end
                    phase.arrived.append(at)
                    # Open loop: the next phone does not wait for this one.
                    phones.create_task(self._send(self._upload(moment), phase))

        await cut([arrivals, partial(self._stack.watch, phase)], seconds + after_s)
        await self._drained()
        counts = f"offered {phase.offered}, accepted {len(phase.accepted)}, shed {len(phase.shed)}"
        print(f"{phase.name}: {counts}, sender behind by {phase.lag_s * 1000:.0f} ms at most", flush=True)
        return phase

    async def _send(self, upload: Upload, phase: Phase) -> None:
        def note(attempt: Attempt) -> None:
            if attempt.status == 503:
                phase.shed.append(attempt.finished)

        outcome = await self._client.send(upload, note)
        if outcome.acknowledged:
            phase.accept(outcome)
            phase.wrongly_late += wrongly_late(outcome)

    async def _drained(self) -> None:
        """Wait until the proxy sends nothing more to the store, so that the next part starts without a backlog."""
        passed = -1
        while passed < self._throttle.passed:
            passed = self._throttle.passed
            await self._clock.sleep(QUIET_S)

    async def _moment(self, seconds: float) -> tuple[Moment, float]:
        """A moment that has fired and whose window closes halfway through the phase; and the current Unix seconds."""
        now = self._clock.now()
        return await self._service.open_moment("overload", now - 1, 1 + max(1, round(seconds / 2))), now

    def _upload(self, moment: Moment) -> Upload:
        self._users += 1
        user, now = f"phone-{self._users}", self._clock.now()
        bearer = token(self._secret, user, "upload", now)
        return Upload(moment_id=moment.id, user=user, bearer=bearer, body=self._body, intended=now)


def wrongly_late(outcome: Outcome) -> bool:
    """Whether the `received_at` of an accepted pair lies in none of the tries that may have set it."""
    at = outcome.received_at.timestamp() if outcome.received_at else 0.0
    return not any(one.started - MARGIN_S <= at <= one.finished + MARGIN_S for one in outcome.timely)


async def cut(jobs: Sequence[Callable[[], Coroutine[None, None, None]]], seconds: float) -> None:
    """Run the jobs for `seconds`, then cancel those that still run."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds), asyncio.TaskGroup() as running:
            for job in jobs:
                running.create_task(job())


async def measured(lengths: Lengths, config: Config, folder: Path) -> tuple[Phase, ...]:
    """Start the stack, run all phases, stop the stack."""
    bytes_s = float(PAIRS_S * PAIR_BYTES)
    # A phone that gives up would lower the load in the middle of a phase.
    patient = msgspec.structs.replace(config, attempts_max=1000)
    async with (
        overloaded_stack(folder, bytes_s) as (stack, throttle),
        Connections(config.connections_max, SystemClock()) as phones,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, force_close=True)) as ops,
    ):
        return await Run(stack, throttle, phones, ops, patient).phases(lengths)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write the table and its chart; return the exit code."""
    given = command.given("overload", __doc__, "overload.json", arguments)
    command.open_all_files()

    def measure(tell: command.Tell) -> None:
        with tempfile.TemporaryDirectory(prefix="snapsurge-overload-") as folder:
            phases = uvloop.run(measured(QUICK if given.quick else Lengths(), load(), Path(folder)))
        for row in rows(phases):
            tell(row)
        write(given.out.with_suffix(".svg"), chart(phases).encode())

    return command.run(given.out, measure)


if __name__ == "__main__":
    sys.exit(main())
