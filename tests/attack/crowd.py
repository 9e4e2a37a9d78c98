"""Honest phones and their goodput: how many had their pair acknowledged in time and its picture shown in time.

A phone uploads as in `tests.faults.phones`, then polls its post until it is ready, and fetches the thumbnail. An upload
is acknowledged in time when that takes at most `PATIENCE_S` from its first byte, including retries and waits; it is
shown in time when that takes at most `READY_S` more. Goodput is the number of phones for which both were in time.
"""

import asyncio
import random
import time
from collections.abc import Sequence

import aiohttp
import msgspec

from deploy.tokens import token
from tests.faults.phones import SECRET, Camera, Phones

PATIENCE_S = 8.0
READY_S = 20.0
LOOK_S = 1.0
GET_S = 4.0


class Visit(msgspec.Struct, kw_only=True):
    """One phone's result: seconds until its pair was acknowledged, and from then until its picture was shown."""

    acknowledged_s: float | None = None
    shown_s: float | None = None

    @property
    def good(self) -> bool:
        """Whether the pair was acknowledged in time and shown in time."""
        return self.acknowledged and self.shown_s is not None and self.shown_s <= READY_S

    @property
    def acknowledged(self) -> bool:
        """Whether the pair was acknowledged in time."""
        return self.acknowledged_s is not None and self.acknowledged_s <= PATIENCE_S


class Goodput(msgspec.Struct, frozen=True, kw_only=True):
    """The results of a crowd; times in ms, over the phones that got an acknowledgement or a picture at all."""

    phones: int
    acknowledged: int
    good: int
    p50_ms: int
    p90_ms: int
    max_ms: int
    shown_p50_ms: int
    shown_max_ms: int

    @classmethod
    def of(cls, visits: Sequence[Visit]) -> "Goodput":
        """Summarise these visits."""
        told = sorted(one.acknowledged_s for one in visits if one.acknowledged_s is not None)
        shown = sorted(one.shown_s for one in visits if one.shown_s is not None)
        return cls(
            phones=len(visits),
            acknowledged=sum(one.acknowledged for one in visits),
            good=sum(one.good for one in visits),
            p50_ms=_at(told, 0.5),
            p90_ms=_at(told, 0.9),
            max_ms=_at(told, 1.0),
            shown_p50_ms=_at(shown, 0.5),
            shown_max_ms=_at(shown, 1.0),
        )

    def __str__(self) -> str:
        return (
            f"{self.good}/{self.phones} good, {self.acknowledged} acknowledged in time, p50 {self.p50_ms} p90 "
            f"{self.p90_ms} max {self.max_ms} ms, shown after p50 {self.shown_p50_ms} max {self.shown_max_ms} ms"
        )


def _at(ordered: Sequence[float], part: float) -> int:
    """The quantile in ms; 0 when there are no values."""
    return round(1000 * ordered[min(len(ordered) - 1, int(part * len(ordered)))]) if ordered else 0


class Crowd:
    """Honest phones spread over some seconds and determined by a seed, so that the control has the same phones."""

    def __init__(self, session: aiohttp.ClientSession, doors: Sequence[str], camera: Camera) -> None:
        self._session, self._doors, self._camera = session, doors, camera

    async def visit(self, phones: Phones, name: str, count: int, span_s: float, seed: str) -> Goodput:
        """Run `count` phones over `span_s`: each uploads its pair and polls its post."""
        rng = random.Random(seed)
        visits = [Visit() for _ in range(count)]
        async with asyncio.TaskGroup() as group:
            for number, visit in enumerate(visits):
                own = random.Random(rng.random())
                call = self._one(phones, visit, f"{name}-u{number}", number, rng.uniform(0, span_s), own)
                group.create_task(call, name=f"{name}-u{number}")
        return Goodput.of(visits)

    async def _one(
        self, phones: Phones, visit: Visit, user: str, number: int, delay_s: float, rng: random.Random
    ) -> None:
        await asyncio.sleep(delay_s)
        pair = self._camera.pair(rng)
        began = time.monotonic()
        if await phones.upload(f"{user}/0", user, pair, rng, door=number) != "ok":
            return
        told = time.monotonic()
        visit.acknowledged_s = told - began
        await self._look(phones.link(user), user, told + READY_S)
        if time.monotonic() <= told + READY_S:
            visit.shown_s = time.monotonic() - told

    async def _look(self, link: str, user: str, deadline: float) -> None:
        """Poll the post until its thumbnail can be fetched or the deadline has passed."""
        bearer = token(SECRET, user, "upload", now=time.time(), ttl_s=3600)
        headers, door = {"Authorization": f"Bearer {bearer}"}, 0
        while time.monotonic() < deadline:
            await asyncio.sleep(LOOK_S)
            door += 1
            url = self._doors[door % len(self._doors)] + link
            try:
                async with asyncio.timeout(GET_S), self._session.get(url, headers=headers) as answer:
                    said = await answer.read()
                if answer.status != 200 or msgspec.json.decode(said)["state"] != "ready":
                    continue
                async with (
                    asyncio.timeout(GET_S),
                    self._session.get(f"{url}/photos/front/thumb", headers=headers) as answer,
                ):
                    await answer.read()
                    if answer.status == 200:
                        return
            except (aiohttp.ClientError, TimeoutError, OSError):
                continue
        await asyncio.sleep(0.01)
