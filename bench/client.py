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
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final, Protocol

import aiohttp
import jwt
import msgspec

from .clock import Clock
from .config import Config
from .outcome import ACKNOWLEDGED, Attempt, Outcome, Upload

RETRIED: Final = frozenset({408, 429, 502, 503, 504, 507})
TOKEN_TTL_S: Final = 3600
CHUNK_BYTES_MIN: Final = 4096
CHUNK_BYTES_MAX: Final = 65536
CHUNKS_PER_S: Final = 8  # of a paced uplink: fine enough for the server, coarse enough for one Python process
BOUNDARY: Final = "snapsurge-bench-7f2a90c4"


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
    """Sends uploads over one session to the targets; when a connection fails, it goes to the next target."""

    def __init__(
        self, session: aiohttp.ClientSession, targets: Sequence[str], config: Config, clock: Clock, rng: Rng
    ) -> None:
        self._session, self._targets, self._config, self._clock, self._rng = session, targets, config, clock, rng

    async def send(self, upload: Upload, on_attempt: Callable[[Attempt], None] = lambda _: None) -> Outcome:
        """Try until acknowledged, refused for good, or out of tries; `on_attempt` is called at the end of each try."""
        body = multipart(upload.front, upload.back)
        bearer = token(self._config.auth_secret, upload.user, "upload", self._clock.now())
        headers = {"Authorization": f"Bearer {bearer}", "Content-Length": str(len(body))}
        headers["Content-Type"] = f"multipart/form-data; boundary={BOUNDARY}"
        attempts: list[Attempt] = []
        target, answer = upload.first_target, NO_ANSWER
        while True:
            started = self._clock.now()
            answer = await self._try(target, upload, body, headers)
            attempts.append(Attempt(started, self._clock.now(), answer.status, bool(answer.ticket)))
            on_attempt(attempts[-1])
            if answer.ticket:
                headers["Snapsurge-Ticket"] = answer.ticket
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
            ticket=headers.get("Snapsurge-Ticket"),
            received_at=answer.received_at,
        )

    async def _try(self, target: int, upload: Upload, body: bytes, headers: dict[str, str]) -> Answer:
        url = f"{self._targets[target % len(self._targets)]}/v1/moments/{upload.moment_id}/posts"
        patience_s = self._config.answer_timeout_s + (2 * len(body) / upload.pace if upload.pace else 0)
        try:
            async with (
                asyncio.timeout(patience_s),
                self._session.post(
                    url,
                    data=self._chunks(body, upload.pace),
                    headers=headers,
                    expect100="Snapsurge-Ticket" in headers,
                ) as response,
            ):
                return read_answer(response.status, response.headers, await response.read())
        except (aiohttp.ClientError, TimeoutError, OSError):
            return NO_ANSWER

    async def _chunks(self, body: bytes, pace: int | None) -> AsyncIterator[bytes]:
        """The body at the uplink's rate: each chunk waits until the chunks before it would have left the phone."""
        size = CHUNK_BYTES_MAX
        if pace:
            size = min(max(pace // CHUNKS_PER_S, CHUNK_BYTES_MIN), CHUNK_BYTES_MAX)
        began, view = self._clock.now(), memoryview(body)
        for at in range(0, len(body), size):
            if pace and at:
                await self._clock.sleep(began + at / pace - self._clock.now())
            yield bytes(view[at : at + size])


class Headers(Protocol):
    """Case-insensitive response headers."""

    def get(self, key: str, /) -> str | None:
        """The value, or None."""
        ...


def read_answer(status: int, headers: Headers, body: bytes) -> Answer:
    """The parts of a response that the client uses.

    `Retry-After` is read only as a number of seconds; a body that is not a post gives no id.
    """
    asked = headers.get("Retry-After") or ""
    post = _PostBody()
    if status in ACKNOWLEDGED:
        with contextlib.suppress(msgspec.MsgspecError):
            post = msgspec.json.decode(body, type=_PostBody)
    return Answer(
        status,
        float(asked) if asked.isascii() and asked.isdigit() else None,
        headers.get("Snapsurge-Ticket"),
        (headers.get("Idempotent-Replayed") or "").lower() == "true",
        post.id,
        post.received_at,
    )
