"""Phones under faults: each sends its pair, tries again with what the answer gave it, and tells the witness everything.

An upload ends `ok` with a 200 or 201 of the whole answer, `fail` when every try was told `stored: false` (or nobody
could be connected to), else `unknown`. A ticket goes back with each further try. Some phones tap twice: the same pair
at once through both doors; some have a rival: another pair of the same user at the same moment.
"""

import asyncio
import hashlib
import random
import time
from collections.abc import AsyncIterator, Sequence

import aiohttp
import msgspec
import numpy as np

from bench.photos import comment_offset, fill, render
from deploy.config import DEVELOPMENT_SECRET
from deploy.tokens import token
from tests.faults.witness import Answer, End, Ending, Invoke, Sent, Witness

ANSWER_S = 4.0
UPLINK_S = 1.5  # half of all bodies take up to that long, so that faults meet uploads under way
PIECES = 10
WAIT_MAX_S = 1.5  # a Retry-After is obeyed up to here: rounds are short
SIZES = (6_000, 12_000, 40_000, 200_000)
BOUNDARY = "faults-3c1f"
RETRIED = {408, 429, 500, 502, 503, 504, 507}
TICKET = "Snapsurge-Ticket"


class Pair(msgspec.Struct, frozen=True):
    """Two photos that no other upload has."""

    front: bytes
    back: bytes

    @property
    def body(self) -> bytes:
        """The multipart body."""
        parts = [
            f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"; filename="{name}.jpg"\r\n'
            "Content-Type: image/jpeg\r\n\r\n".encode()
            + photo
            for name, photo in (("front", self.front), ("back", self.back))
        ]
        return b"\r\n".join([*parts, f"--{BOUNDARY}--\r\n".encode()])


class Camera:
    """Small real JPEGs, unique by their comments: quick to render, as long as wanted."""

    def __init__(self) -> None:
        rng = np.random.default_rng(1)
        self._pictures = tuple(render(rng, 128, 60, sideways=sideways) for sideways in (False, True))

    def pair(self, rng: random.Random) -> Pair:
        """A pair of a random size."""
        return Pair(*(self._photo(picture, rng) for picture in self._pictures))

    @staticmethod
    def _photo(picture: bytes, rng: random.Random) -> bytes:
        cut = comment_offset(picture)
        comments = fill(rng, rng.choice(SIZES) - len(picture))
        return picture[:cut] + comments + picture[cut:]


class Problem(msgspec.Struct):
    """What a client reads of an answer's body."""

    stored: bool | str | None = None


class Phones:
    """All phones of a round: they share a session without kept connections, two doors and the witness."""

    def __init__(
        self, session: aiohttp.ClientSession, doors: Sequence[str], witness: Witness, moment: str, *, tries: int = 5
    ) -> None:
        self._session, self._doors, self._witness, self._moment = session, doors, witness, moment
        self._tries = tries  # with five, two taps of one user stay within the rate limit of ten

    async def burst(self, name: str, count: int, span_s: float, camera: Camera, rng: random.Random) -> None:
        """That many users over so many seconds, a tenth tapping twice, a twentieth with a rival pair."""
        async with asyncio.TaskGroup() as group:
            for number in range(count):
                user, pair, delay_s = f"{name}-u{number}", camera.pair(rng), rng.uniform(0, span_s)
                pairs = [pair]
                match rng.random():
                    case chance if chance < 0.10:
                        pairs = [pair, pair]
                    case chance if chance < 0.15:
                        pairs = [pair, camera.pair(rng)]
                for tap, each in enumerate(pairs):
                    own = random.Random(rng.random())
                    call = self.upload(f"{user}/{tap}", user, each, own, delay_s=delay_s, door=number + tap)
                    group.create_task(call, name=f"{user}/{tap}")

    async def upload(
        self, op: str, user: str, pair: Pair, rng: random.Random, *, delay_s: float = 0.0, door: int = 0
    ) -> Ending:
        """One pair until acknowledged, refused for good or given up."""
        await asyncio.sleep(delay_s)
        front, back = (hashlib.sha256(photo).hexdigest() for photo in (pair.front, pair.back))
        self._witness.note(Invoke(op=op, moment=self._moment, user=user, front=front, back=back))
        bearer = token(DEVELOPMENT_SECRET, user, "upload", now=time.time(), ttl_s=3600)
        headers = {"Authorization": f"Bearer {bearer}", "Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
        body, definite, first = pair.body, True, None
        headers["Content-Length"] = str(len(body))
        pace_s = max(0.0, rng.uniform(-UPLINK_S, UPLINK_S))
        for number in range(self._tries):
            self._witness.note(Sent(op=op, number=number, at=now_ms(), first=number if first is None else first))
            answer, ticket, wait_s = await self._try(op, number, door + number, paced(body, pace_s), headers)
            self._witness.note(answer)
            if ticket:
                headers[TICKET] = ticket
                first = number if first is None else first
            definite = definite and answer.kept is False
            if answer.status and answer.status not in RETRIED:
                break
            await asyncio.sleep(rng.uniform(0.2, 0.5) + min(wait_s, WAIT_MAX_S) * rng.random())
        ending: Ending = "ok" if answer.status in {200, 201} else "fail" if definite else "unknown"
        self._witness.note(End(op=op, ending=ending))
        return ending

    async def _try(
        self, op: str, number: int, door: int, body: AsyncIterator[bytes], headers: dict[str, str]
    ) -> tuple[Answer, str | None, float]:
        """The answer as the witness notes it, the ticket, and the `Retry-After` in seconds."""
        url = f"{self._doors[door % len(self._doors)]}/v1/moments/{self._moment}/posts"
        try:
            async with asyncio.timeout(ANSWER_S), self._session.post(url, data=body, headers=headers) as response:
                said = await response.read()
                status, fields = response.status, response.headers
        except aiohttp.ClientConnectorError:
            return Answer(op=op, number=number, at=now_ms(), status=0, kept=False), None, 0.0
        except (aiohttp.ClientError, TimeoutError, OSError):
            return Answer(op=op, number=number, at=now_ms(), status=0), None, 0.0
        kept = True if status in {200, 201} else None
        if status >= 400 and msgspec.json.decode(said, type=Problem).stored is False:
            kept = False
        ticket, wait = fields.get(TICKET), fields.get("Retry-After") or "0"
        noted = Answer(op=op, number=number, at=now_ms(), status=status, kept=kept, ticket=bool(ticket))
        return noted, ticket, float(wait)


async def paced(body: bytes, seconds: float) -> AsyncIterator[bytes]:
    """The body in pieces, over so many seconds."""
    size = len(body) // PIECES + 1 if seconds else len(body)
    for at in range(0, len(body), size):
        yield body[at : at + size]
        await asyncio.sleep(seconds / PIECES)


def now_ms() -> int:
    """Unix milliseconds."""
    return time.time_ns() // 1_000_000
