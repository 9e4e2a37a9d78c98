"""The reference client of one upload: how a phone should send its pair and retry during a burst.

The client knows nothing of the burst; the caller passes the clock, the randomness and the connections.
"""

import asyncio
import contextlib
import datetime as dt
from collections.abc import Callable, Sequence
from typing import Final, Protocol
from urllib.parse import urlsplit

import jwt
import msgspec

from . import resuming
from .answers import Response
from .clock import Clock
from .config import Config
from .connections import Broken, Connections, Trip
from .outcome import ACKNOWLEDGED, Attempt, Outcome, Upload

# A retry is always safe, after `stored: "unknown"` and after no answer too, because the server keys a post by moment
# and user: 201 the first time, 200 on a repetition.
RETRIED: Final = frozenset({408, 429, 502, 503, 504, 507})
TOKEN_TTL_S: Final = 3600
BOUNDARY: Final = "snapsurge-bench-7f2a90c4"
AGENT: Final = "snapsurge-bench"


class Rng(Protocol):
    """The method of `random.Random` that the jitter uses."""

    def uniform(self, a: float, b: float) -> float:
        """Return a uniform variate between a and b."""
        ...


class Answer(msgspec.Struct, frozen=True):
    """The parts of a response that the client uses."""

    status: int
    retry_after_s: float | None = None
    ticket: str | None = None
    replayed: bool = False
    post_id: str | None = None
    received_at: dt.datetime | None = None


class _Known(msgspec.Struct):
    """What a phone remembers of its upload between tries."""

    ticket: str | None = None
    place: str | None = None  # the path at which the server keeps what has arrived
    breaks: int = 0  # so many are over


class _Try(msgspec.Struct):
    """A try while it lasts: what it sends, whether it goes on with an upload, the pause after it."""

    trip: Trip
    resumed: bool = False
    pause_s: float = 0.0
    again: bool = False  # whatever the status


class _PostBody(msgspec.Struct):
    id: str | None = None
    received_at: dt.datetime | None = None


NO_ANSWER: Final = Answer(0)


def token(secret: str, user: str, scope: str, now: float) -> str:
    """A bearer token as the service expects it: HS256 with `sub` and `scope`."""
    issued = int(now)
    claims = {"sub": user, "scope": scope, "iat": issued, "exp": issued + TOKEN_TTL_S}
    return jwt.encode(claims, secret, algorithm="HS256")


def multipart(front: bytes, back: bytes) -> bytes:
    """The body of a post. The same photos give the same bytes, because a ticket is bound to the body's length."""
    parts = []
    for name, photo in (("front", front), ("back", back)):
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"; filename="{name}.jpg"\r\n'
        parts += [head.encode(), b"Content-Type: image/jpeg\r\n\r\n", photo, b"\r\n"]
    return b"".join([*parts, f"--{BOUNDARY}--\r\n".encode()])


def wait_s(config: Config, failures: int, retry_after_s: float | None, rng: Rng) -> float:
    """Seconds to wait after `failures` failed tries: `Retry-After`, else exponential backoff; both with jitter."""
    if retry_after_s is not None:
        asked = min(max(retry_after_s, config.backoff_floor_s), config.retry_after_max_s)
        # Jitter, so that clients do not return all at once.
        return asked * rng.uniform(1.0, 1.1)
    most = min(config.backoff_floor_s * 2**failures, max(config.backoff_max_s, config.backoff_floor_s))
    return rng.uniform(config.backoff_floor_s, most)


class Client:
    """Sends uploads over connections to the targets; when a connection fails, it goes to the next target.

    `resumes`: announces resumable uploads, and goes on with an upload after a break.
    """

    def __init__(
        self,
        connections: Connections,
        targets: Sequence[str],
        config: Config,
        clock: Clock,
        rng: Rng,
        *,
        resumes: bool = False,
    ) -> None:
        self._connections, self._config, self._clock, self._rng = connections, config, clock, rng
        self._targets, self._hosts = targets, [urlsplit(target).netloc.rpartition("@")[2] for target in targets]
        self._resumes, self._close = resumes, "Connection: close\r\n" if connections.fresh else ""

    async def send(self, upload: Upload, on_attempt: Callable[[Attempt], None] = lambda _: None) -> Outcome:
        """Try until acknowledged, refused for good, or out of tries; `on_attempt` is called at the end of each try."""
        attempts: list[Attempt] = []
        target, known = upload.first_target, _Known()
        while True:
            started, ticket = self._clock.now(), known.ticket
            answer, made = await self._try(target, upload, known)
            fresh, sent = known.ticket is not ticket, made.trip.sent
            attempts.append(Attempt(started, self._clock.now(), answer.status, fresh, made.resumed, sent))
            on_attempt(attempts[-1])
            final = answer.status and answer.status not in RETRIED and not made.again
            if final or len(attempts) >= self._config.attempts_max:
                break
            # No answer at all: the balancer may be gone.
            target += not answer.status
            wait = wait_s(self._config, len(attempts), answer.retry_after_s, self._rng)
            await self._clock.sleep(max(made.pause_s, wait))
        return Outcome(
            user=upload.user,
            intended=upload.intended,
            attempts=tuple(attempts),
            post_id=answer.post_id,
            replayed=answer.replayed,
            ticket=known.ticket,
            received_at=answer.received_at,
            length=len(upload.body),
        )

    async def _try(self, target: int, upload: Upload, known: _Known) -> tuple[Answer, _Try]:
        at, pace = target % len(self._targets), upload.pace
        made = _Try(Trip(until=upload.breaks[known.breaks].offset if known.breaks < len(upload.breaks) else None))
        # Twice the time that the photos take on the uplink: the server may read slower than that.
        patience_s = self._config.answer_timeout_s + (2 * len(upload.body) / pace if pace else 0)
        found: Response | None = None
        try:
            async with asyncio.timeout(patience_s):
                if known.place:
                    found = await self._resume(at, upload, known, made)
                else:
                    found = await self._post(at, upload, known, made)
        except Broken:
            made.pause_s = upload.breaks[known.breaks].pause_s
            known.breaks += 1
        except OSError:  # a time-out, too
            pass
        return self._learned(upload, known, made, found), made

    def _learned(self, upload: Upload, known: _Known, made: _Try, found: Response | None) -> Answer:
        """What the try teaches the phone: where to go on, with which ticket."""
        answer = NO_ANSWER if found is None else read_answer(found)
        # A ticket of a PATCH keeps the time of the request that began the upload, for one that begins it anew.
        known.ticket = answer.ticket or made.trip.told.get("snapsurge-ticket") or known.ticket
        if not made.resumed:
            known.place = resuming.named(made.trip.told) if self._resumes else None
        if found is None or not known.place:
            return answer
        if resuming.ended(found) or found.status in resuming.GONE:
            made.again = made.resumed and found.status in resuming.GONE
            known.place = None
        else:
            made.again = resuming.mismatched(found, len(upload.body))
        return answer

    async def _post(self, at: int, upload: Upload, known: _Known, made: _Try) -> Response:
        """Send the whole pair."""
        head, asks = self._head(at, upload, known.ticket), known.ticket is not None
        body, target, pace = upload.body, self._targets[at], upload.pace
        return await self._connections.post(target, head, body, pace=pace, asks=asks, trip=made.trip)

    async def _resume(self, at: int, upload: Upload, known: _Known, made: _Try) -> Response:
        """Ask how much has arrived, and send the rest; the whole pair when the upload is gone."""
        target, path, pace = self._targets[at], known.place or "", upload.pace
        looking = f"{self._lines('HEAD', path, at, upload)}{resuming.INTEROP_LINE}\r\n".encode("latin-1")
        async with self._connections.opened(target) as connection:
            found = await self._connections.look(connection, looking)
            rest = self._rest(found, path, at, upload, made)
            if rest and found.kept and not connection.closed:
                return await self._connections.exchange(connection, *rest, pace=pace, asks=False, trip=made.trip)
        if rest:
            return await self._connections.post(target, *rest, pace=pace, asks=False, trip=made.trip)
        if found.status in resuming.GONE or found.status // 100 == 2:
            return await self._post(at, upload, known, made)
        made.resumed = True
        return found

    def _rest(self, found: Response, path: str, at: int, upload: Upload, made: _Try) -> tuple[bytes, memoryview] | None:
        """The head and the body of the request that sends what is left, if the answer to a HEAD says where that is."""
        offset = resuming.offset_in(found, len(upload.body))
        if found.status // 100 != 2 or offset is None:
            return None
        made.resumed = True
        if made.trip.until is not None:
            made.trip.until = max(0, made.trip.until - offset)
        head = (
            f"{self._lines('PATCH', path, at, upload)}{resuming.appending(offset)}"
            f"Content-Length: {len(upload.body) - offset}\r\n{self._close}\r\n"
        )
        return head.encode("latin-1"), memoryview(upload.body)[offset:]

    def _lines(self, method: str, path: str, at: int, upload: Upload) -> str:
        """The lines that every request has."""
        return (
            f"{method} {path} HTTP/1.1\r\nHost: {self._hosts[at]}\r\n"
            f"User-Agent: {AGENT}\r\nAccept: */*\r\nAuthorization: Bearer {upload.bearer}\r\n"
        )

    def _head(self, at: int, upload: Upload, ticket: str | None) -> bytes:
        # A retry asks before it sends the body: the server may refuse again, and a head costs less than a pair.
        asks = f"Snapsurge-Ticket: {ticket}\r\nExpect: 100-continue\r\n" if ticket else ""
        resumable = resuming.creating(upload.body) if self._resumes else ""
        return (
            f"{self._lines('POST', f'/v1/moments/{upload.moment_id}/posts', at, upload)}"
            f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\nContent-Length: {len(upload.body)}\r\n"
            f"{asks}{resumable}{self._close}\r\n"
        ).encode("latin-1")


def read_answer(found: Response) -> Answer:
    """The parts of a response that the client uses.

    `Retry-After` is read only as a number of seconds; a body that is not a post gives no id.
    """
    headers, post = found.headers, _PostBody()
    asked = headers.get("retry-after") or ""
    if found.status in ACKNOWLEDGED:
        with contextlib.suppress(msgspec.MsgspecError):
            post = msgspec.json.decode(found.body, type=_PostBody)
    return Answer(
        found.status,
        float(asked) if asked.isascii() and asked.isdigit() else None,
        headers.get("snapsurge-ticket"),
        (headers.get("idempotent-replayed") or "").lower() == "true",
        post.id,
        post.received_at,
    )
