"""What every program's `/metrics` says, once a second, and what `/v1/scaling` says of the queue.

A scrape is flat: one number for each series. A counter is kept as it is and turned into a rate later.
"""

import asyncio
from collections.abc import Mapping
from typing import Final

import aiohttp
import msgspec
from prometheus_client.parser import text_string_to_metric_families

from ..clock import Clock
from ..service import Service

EVERY_S: Final = 1.0
TIMEOUT: Final = aiohttp.ClientTimeout(total=0.9)
UP: Final = "up"
SCALING: Final = "/v1/scaling"  # read through a balancer, so it belongs to no single program
COUNTERS: Final = ("_total", "_sum", "_count")
# A histogram is kept as its sum and count.
LEFT_OUT: Final = ("_bucket", "_created")


class Scrape(msgspec.Struct, frozen=True):
    """One second: its Unix time, and the values by (program, series)."""

    at: float
    values: dict[tuple[str, str], float]


def flat(program: str, text: str) -> dict[tuple[str, str], float]:
    """The series of one program from the text of its `/metrics`; ValueError when it is no such text."""
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if not sample.name.endswith(LEFT_OUT):
                labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
                found[program, f"{sample.name}{{{labels}}}" if labels else sample.name] = float(sample.value)
    return found


class Scraper:
    """Scrapes all programs every second until cancelled; the addresses may change while it runs."""

    def __init__(
        self, addresses: Mapping[str, str], session: aiohttp.ClientSession, service: Service, clock: Clock
    ) -> None:
        self._addresses, self._session, self._service, self._clock = addresses, session, service, clock
        self.scrapes: list[Scrape] = []

    async def follow(self) -> None:
        """Scrape at whole intervals; a scrape that took longer than its second delays the next one."""
        while True:
            began = self._clock.now()
            self.scrapes.append(await self.look())
            await self._clock.sleep(began + EVERY_S - self._clock.now())

    async def look(self) -> Scrape:
        """One scrape of every program, all at once."""
        at = self._clock.now()
        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(self._of(program, url)) for program, url in self._addresses.items()]
            scaling = group.create_task(self._scaling())
        values = scaling.result()
        for task in asked:
            values |= task.result()
        return Scrape(at, values)

    async def _of(self, program: str, url: str) -> dict[tuple[str, str], float]:
        try:
            async with self._session.get(url, timeout=TIMEOUT) as answer:
                text = await answer.text()
            return {(program, UP): 1.0, **flat(program, text)} if answer.status == 200 else {(program, UP): 0.0}
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
            # A program that does not answer in time has this series alone, as Prometheus writes it.
            return {(program, UP): 0.0}

    async def _scaling(self) -> dict[tuple[str, str], float]:
        try:
            async with asyncio.timeout(TIMEOUT.total):
                found = await self._service.scaling()
        except TimeoutError:
            found = None
        if found is None:
            return {(SCALING, UP): 0.0}
        return {
            (SCALING, UP): 1.0,
            **{(SCALING, name): float(value) for name, value in msgspec.structs.asdict(found).items()},
        }
