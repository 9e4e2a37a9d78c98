"""bench.rehearsal.scrapes: what programs say, once a second, and a program that says nothing."""

import asyncio

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from bench.clock import SystemClock
from bench.rehearsal.scrapes import SCALING, UP, Scraper, flat
from bench.service import Service
from tests.unit.bench.fake_service import QUICK, FakeClock, FakeService, Faults

TEXT = """# TYPE g gauge
g 3
# TYPE c counter
c_total{b="2",a="1"} 4
# TYPE h histogram
h_bucket{le="+Inf"} 2
h_sum 1.5
h_count 2
"""


def test_every_series_is_one_number() -> None:
    """Labels in order; buckets are left out."""
    assert flat("p", TEXT) == {
        ("p", "g"): 3.0, ("p", "c_total{a=1,b=2}"): 4.0, ("p", "h_sum"): 1.5, ("p", "h_count"): 2.0
    }  # fmt: skip


async def test_a_program_that_does_not_answer_is_not_up() -> None:
    """Refused, an error, or no metrics at all; the others are read all the same."""
    app = web.Application()

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(text=TEXT)

    async def broken(_: web.Request) -> web.Response:
        return web.Response(status=500, text=TEXT)

    app.add_routes([web.get("/metrics", metrics), web.get("/broken", broken)])
    async with TestServer(app) as server, FakeService(Faults()).server() as fake, aiohttp.ClientSession() as session:
        assert isinstance(fake, TestServer)
        service = Service(session, [str(fake.make_url("")).rstrip("/")], QUICK, SystemClock())
        addresses = {
            "well": str(server.make_url("/metrics")),
            "broken": str(server.make_url("/broken")),
            "gone": "http://127.0.0.1:1/metrics",
        }
        scraper = Scraper(addresses, session, service, SystemClock())
        values = (await scraper.look()).values

        assert {program: values[program, UP] for program in addresses} == {"well": 1.0, "broken": 0.0, "gone": 0.0}
        assert values["well", "g"] == 3.0
        assert values[SCALING, UP] == 1.0
        assert {name for program, name in values if program == SCALING} == {
            UP,
            "desired",
            "workers",
            "ready",
            "oldest_s",
        }


class Ended(FakeClock):
    """A clock with which a watch is cancelled in its third sleep."""

    async def sleep(self, seconds: float) -> None:
        """Two sleeps at no cost."""
        await super().sleep(seconds)
        if len(self.slept) == 3:
            raise asyncio.CancelledError


async def test_it_scrapes_every_second_until_it_is_cancelled() -> None:
    """Without a scaler, the queue is not known."""
    clock = Ended()
    async with FakeService(Faults(no_scaler=True)).server() as fake, aiohttp.ClientSession() as session:
        assert isinstance(fake, TestServer)
        service = Service(session, [str(fake.make_url("")).rstrip("/")], QUICK, SystemClock())
        scraper = Scraper({}, session, service, clock)
        with pytest.raises(asyncio.CancelledError):
            await scraper.follow()

    assert [scrape.at - scraper.scrapes[0].at for scrape in scraper.scrapes] == [0.0, 1.0, 2.0]
    assert scraper.scrapes[0].values == {(SCALING, UP): 0.0}
