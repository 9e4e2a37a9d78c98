"""Phones under faults: each uploads its pair, retries as the answers say, and records everything with the witness.

An upload ends `ok` after a complete answer 200 or 201, `fail` when every try was answered with `stored: false` or could
not connect, else `unknown`. Each further try sends the last ticket. Some phones upload the same pair twice at once,
through both balancers. Some upload a second, different pair of the same user at the same time. Some delete their post,
sometimes while its upload is in progress, and most of these post again, the same pair or another. A deletion ends `ok`
with a 204 or a 404: in both cases the post is gone.
"""

import asyncio
import hashlib
import random
import time
from collections.abc import AsyncIterator, Mapping, Sequence

import aiohttp
import msgspec
import numpy as np

from bench.photos import comment_offset, fill, render
from deploy.tokens import token
from storage import keys
from tests.faults.witness import Answer, End, Ending, Invoke, Sent, Witness

ANSWER_S = 4.0
UPLINK_S = 1.5  # half of all bodies take up to this time, so that faults hit uploads in progress
PIECES = 10
WAIT_MAX_S = 1.5  # a longer Retry-After is shortened to this, because rounds are short
SIZES = (6_000, 12_000, 40_000, 200_000)
SIZE_LEFT = 60  # minimum bytes of comment, so that every photo is unique
SECRET = "a-secret-of-the-tests-so-that-nodes-may-listen-beyond-loopback"
BOUNDARY = "faults-3c1f"
RETRIED = {408, 429, 500, 502, 503, 504, 507}
TICKET = "Snapsurge-Ticket"
REFUSED = -1  # in place of a status: connecting failed, so nothing was sent


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
    """Makes small real JPEGs, unique by their comments: quick to render, of any length."""

    def __init__(self, sizes: Sequence[int] = SIZES, width: int = 128) -> None:
        self._sizes = sizes
        rng = np.random.default_rng(1)
        self._pictures = tuple(render(rng, width, 60, sideways=sideways) for sideways in (False, True))

    def pair(self, rng: random.Random) -> Pair:
        """A new pair of a random size."""
        return Pair(*(self._photo(picture, rng) for picture in self._pictures))

    def _photo(self, picture: bytes, rng: random.Random) -> bytes:
        cut = comment_offset(picture)
        comments = fill(rng, max(SIZE_LEFT, rng.choice(self._sizes) - len(picture)))
        return picture[:cut] + comments + picture[cut:]


class Problem(msgspec.Struct):
    """The fields of an answer's body that a client reads."""

    stored: bool | str | None = None


class Phones:
    """All phones of a round; they share a session without keep-alive, two balancers (doors) and the witness."""

    def __init__(
        self, session: aiohttp.ClientSession, doors: Sequence[str], witness: Witness, moment: str, *, tries: int = 5
    ) -> None:
        self._session, self._doors, self.witness, self._moment = session, doors, witness, moment
        self._tries = tries  # with five tries, two concurrent uploads of a user stay within the rate limit of ten

    async def burst(self, name: str, count: int, span_s: float, camera: Camera, rng: random.Random) -> None:
        """Start `count` users over `span_s`: some upload twice at once, some two pairs, some delete and post again."""
        async with asyncio.TaskGroup() as group:
            for number in range(count):
                user, pair, delay_s = f"{name}-u{number}", camera.pair(rng), rng.uniform(0, span_s)
                pairs = [pair]
                match rng.random():
                    case chance if chance < 0.10:
                        pairs = [pair, pair]
                    case chance if chance < 0.15:
                        pairs = [pair, camera.pair(rng)]
                    case chance if chance < 0.35:
                        own, again = random.Random(rng.random()), camera.pair(rng)
                        goer = self.come_and_go(user, pair, again, own, delay_s=delay_s, door=number)
                        group.create_task(goer, name=user)
                        continue
                for tap, each in enumerate(pairs):
                    own = random.Random(rng.random())
                    call = self.upload(f"{user}/{tap}", user, each, own, delay_s=delay_s, door=number + tap)
                    group.create_task(call, name=f"{user}/{tap}")

    async def come_and_go(
        self, user: str, pair: Pair, again: Pair, rng: random.Random, *, delay_s: float = 0.0, door: int = 0
    ) -> None:
        """Post, delete, post again in two of three cases, and sometimes delete again."""
        async with asyncio.TaskGroup() as group:
            first = group.create_task(self.upload(f"{user}/0", user, pair, rng, delay_s=delay_s, door=door), name=user)
            if rng.random() < 0.25:  # delete while the upload is in progress
                await asyncio.sleep(delay_s)
            else:
                await first
            await self.erase(f"{user}/gone-0", user, rng, delay_s=rng.uniform(0, 1.0), door=door + 1)
        if rng.random() < 0.33:
            return
        await self.upload(f"{user}/1", user, rng.choice((pair, again)), rng, door=door)
        if rng.random() < 0.25:
            await self.erase(f"{user}/gone-1", user, rng, delay_s=rng.uniform(0, 0.5), door=door)

    async def erase(
        self, op: str, user: str, rng: random.Random, *, delay_s: float = 0.0, door: int = 0, answer_s: float = ANSWER_S
    ) -> Ending:
        """Delete the user's post: retry until it is acknowledged or the tries are used up."""
        await asyncio.sleep(delay_s)
        self.witness.note(Invoke(op=op, moment=self._moment, user=user, what="delete"))
        bearer = token(SECRET, user, "upload", now=time.time(), ttl_s=3600)
        path, headers = self.link(user), {"Authorization": f"Bearer {bearer}"}
        definite = True
        for number in range(self._tries):
            self.witness.note(Sent(op=op, number=number, at=now_ms(), first=number))
            status, _, fields = await self._ask("DELETE", path, door + number, headers, answer_s=answer_s)
            kept = False if status in {REFUSED, 401, 403, 429} else None
            self.witness.note(Answer(op=op, number=number, at=now_ms(), status=max(status, 0), kept=kept))
            definite = definite and kept is False
            if status > 0 and status not in RETRIED:
                break
            await asyncio.sleep(rng.uniform(0.2, 0.5) + _wait_s(fields) * rng.random())
        ending: Ending = "ok" if status in {204, 404} else "fail" if definite else "unknown"
        self.witness.note(End(op=op, ending=ending))
        return ending

    async def upload(
        self,
        op: str,
        user: str,
        pair: Pair,
        rng: random.Random,
        *,
        delay_s: float = 0.0,
        door: int = 0,
        label: str | None = None,
    ) -> Ending:
        """Upload a pair until acknowledged, refused for good or out of tries; `label` is sent as X-Request-Id."""
        await asyncio.sleep(delay_s)
        front, back = (hashlib.sha256(photo).hexdigest() for photo in (pair.front, pair.back))
        self.witness.note(Invoke(op=op, moment=self._moment, user=user, front=front, back=back))
        bearer = token(SECRET, user, "upload", now=time.time(), ttl_s=3600)
        headers = {"Authorization": f"Bearer {bearer}", "Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
        headers |= {"X-Request-Id": label} if label else {}
        body, definite, first = pair.body, True, None
        headers["Content-Length"] = str(len(body))
        pace_s = max(0.0, rng.uniform(-UPLINK_S, UPLINK_S))
        for number in range(self._tries):
            self.witness.note(Sent(op=op, number=number, at=now_ms(), first=number if first is None else first))
            answer, ticket, wait_s = await self._try(op, number, door + number, paced(body, pace_s), headers)
            self.witness.note(answer)
            if ticket:
                headers[TICKET] = ticket
                first = number if first is None else first
            definite = definite and answer.kept is False
            if answer.status and answer.status not in RETRIED:
                break
            await asyncio.sleep(rng.uniform(0.2, 0.5) + wait_s * rng.random())
        ending: Ending = "ok" if answer.status in {200, 201} else "fail" if definite else "unknown"
        self.witness.note(End(op=op, ending=ending))
        return ending

    def link(self, user: str) -> str:
        """The path of the user's post."""
        return f"/v1/posts/{keys.post_id(self._moment, user)}"

    async def _try(
        self, op: str, number: int, door: int, body: AsyncIterator[bytes], headers: dict[str, str]
    ) -> tuple[Answer, str | None, float]:
        """Make one try; returns the answer as the witness records it, the ticket, and the `Retry-After` in seconds."""
        path = f"/v1/moments/{self._moment}/posts"
        status, said, fields = await self._ask("POST", path, door, headers, body)
        if status <= 0:
            return Answer(op=op, number=number, at=now_ms(), status=0, kept=None if status == 0 else False), None, 0.0
        kept = True if status in {200, 201} else None
        if status >= 400 and msgspec.json.decode(said, type=Problem).stored is False:
            kept = False
        ticket = fields.get(TICKET)
        noted = Answer(op=op, number=number, at=now_ms(), status=status, kept=kept, ticket=bool(ticket))
        return noted, ticket, _wait_s(fields)

    async def _ask(
        self,
        method: str,
        path: str,
        door: int,
        headers: Mapping[str, str],
        body: AsyncIterator[bytes] | None = None,
        answer_s: float = ANSWER_S,
    ) -> tuple[int, bytes, Mapping[str, str]]:
        """Send a request; returns status (0: no answer, REFUSED: connecting failed), body and header fields."""
        url = self._doors[door % len(self._doors)] + path
        try:
            async with asyncio.timeout(answer_s), self._session.request(method, url, data=body, headers=headers) as got:
                return got.status, await got.read(), got.headers
        except aiohttp.ClientConnectorError:
            return REFUSED, b"", {}
        except (aiohttp.ClientError, TimeoutError, OSError):
            return 0, b"", {}


def _wait_s(fields: Mapping[str, str]) -> float:
    """The seconds that a phone waits for a `Retry-After`."""
    return min(float(fields.get("Retry-After") or "0"), WAIT_MAX_S)


async def paced(body: bytes, seconds: float) -> AsyncIterator[bytes]:
    """The body in pieces, spread over `seconds`."""
    size = len(body) // PIECES + 1 if seconds else len(body)
    for at in range(0, len(body), size):
        yield body[at : at + size]
        await asyncio.sleep(seconds / PIECES)


def now_ms() -> int:
    """The current Unix time in ms."""
    return time.time_ns() // 1_000_000
