"""The reference client of one upload: how a phone should send its pair and retry during a burst.

The client sends at the rate of its uplink. It waits for `Retry-After` plus a jitter, so that clients do not return all
at once; without `Retry-After` it backs off exponentially with jitter and a floor. It gives up after a bounded number of
tries. A retry sends the last ticket and exactly the same bytes, and asks with `Expect: 100-continue` before it sends
the body: the server may refuse the upload again, and a head costs less than a pair.
A retry is always safe, after `stored: "unknown"` and after no answer too, because the server keys a post by moment and
user: 201 the first time, 200 on a repetition. The client knows nothing of the burst; the caller passes the clock, the
randomness and the connections.
"""

import asyncio
import contextlib
import datetime as dt
from collections.abc import Callable, Sequence
from typing import Final, Protocol
from urllib.parse import urlsplit

import jwt
import msgspec

from .clock import Clock
from .config import Config
from .connections import Connections, Response
from .outcome import ACKNOWLEDGED, Attempt, Outcome, Upload

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
        return asked * rng.uniform(1.0, 1.1)
    most = min(config.backoff_floor_s * 2**failures, max(config.backoff_max_s, config.backoff_floor_s))
    return rng.uniform(config.backoff_floor_s, most)


class Client:
    """Sends uploads over connections to the targets; when a connection fails, it goes to the next target."""

    def __init__(
        self, connections: Connections, targets: Sequence[str], config: Config, clock: Clock, rng: Rng
    ) -> None:
        self._connections, self._config, self._clock, self._rng = connections, config, clock, rng
        self._targets, self._hosts = targets, [urlsplit(target).netloc.rpartition("@")[2] for target in targets]

    async def send(self, upload: Upload, on_attempt: Callable[[Attempt], None] = lambda _: None) -> Outcome:
        """Try until acknowledged, refused for good, or out of tries; `on_attempt` is called at the end of each try."""
        attempts: list[Attempt] = []
        target, answer, ticket = upload.first_target, NO_ANSWER, None
        while True:
            started = self._clock.now()
            answer = await self._try(target, upload, ticket)
            attempts.append(Attempt(started, self._clock.now(), answer.status, bool(answer.ticket)))
            on_attempt(attempts[-1])
            ticket = answer.ticket or ticket
            final = answer.status and answer.status not in RETRIED
            if final or len(attempts) >= self._config.attempts_max:
                break
            target += not answer.status
            await self._clock.sleep(wait_s(self._config, len(attempts), answer.retry_after_s, self._rng))
        return Outcome(
            user=upload.user,
            intended=upload.intended,
            attempts=tuple(attempts),
            post_id=answer.post_id,
            replayed=answer.replayed,
            ticket=ticket,
            received_at=answer.received_at,
        )

    async def _try(self, target: int, upload: Upload, ticket: str | None) -> Answer:
        at, pace = target % len(self._targets), upload.pace
        patience_s = self._config.answer_timeout_s + (2 * len(upload.body) / pace if pace else 0)
        try:
            async with asyncio.timeout(patience_s):
                found = await self._connections.post(
                    self._targets[at], self._head(at, upload, ticket), upload.body, pace=pace, asks=ticket is not None
                )
        except OSError:  # a time-out, too
            return NO_ANSWER
        return read_answer(found)

    def _head(self, at: int, upload: Upload, ticket: str | None) -> bytes:
        asks = f"Snapsurge-Ticket: {ticket}\r\nExpect: 100-continue\r\n" if ticket else ""
        close = "Connection: close\r\n" if self._connections.fresh else ""
        return (
            f"POST /v1/moments/{upload.moment_id}/posts HTTP/1.1\r\nHost: {self._hosts[at]}\r\n"
            f"User-Agent: {AGENT}\r\nAccept: */*\r\nAuthorization: Bearer {upload.bearer}\r\n"
            f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\nContent-Length: {len(upload.body)}\r\n"
            f"{asks}{close}\r\n"
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
