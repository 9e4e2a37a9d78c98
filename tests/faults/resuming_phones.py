"""Phones that resume: they break their uploads at random offsets, come back after a pause, and record everything.

They speak interop versions 3, 5, 6 and 8 over raw sockets. A try is a POST and all that continues it: HEAD asks for the
offset, PATCH sends the rest, sometimes twice at once, sometimes from an old offset. After a 404 the next try begins,
with the ticket of the newest 104. Some connections end with FIN, some with RST, some stay open and silent, as those of
a phone that changed its network. Most creations have a digest, so that their 104s bring tickets; some are in parts.

A try is answered `stored: false` when every request that can have completed it was. A HEAD that says complete is
an acknowledgement too: the node says so only after the post's 200 or 201.
"""

import asyncio
import hashlib
import random
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress

import msgspec

from deploy.tokens import token
from tests.faults.phones import ANSWER_S, BOUNDARY, RETRIED, SECRET, TICKET, Camera, Pair, Phones, Problem, now_ms
from tests.faults.resuming_wire import Course, Exchange, broken, complete, read, write
from tests.faults.witness import Answer, End, Ending, Invoke, Named, Sent, Told
from tests.resumable import Answer as Said
from tests.resumable import Peer

TRIES = 5  # two uploads of one user at once stay within the rate limit of ten
REQUESTS = 14  # of one try, so that an upload ends
PAUSES_S = ((0.0, 0.3), (0.3, 1.5), (1.5, 3.5))
DONE = (200, 201)


class Try:
    """One try of an upload, as far as its phone knows it."""

    def __init__(self, number: int, course: Course, body: bytes) -> None:
        self.number, self.course, self.body = number, course, body
        self.breaks = course.breaks
        self.location = ""
        self.ticket = ""
        self.sent = 0  # the most bytes of the body that any request has sent
        self.known = 0  # the last offset that was told
        self.definite = True  # no request can have stored the post unknown to the phone
        self.status = 0

    def sends(self, end: int) -> None:
        """The body up to here is sent, by one request or another."""
        self.sent = max(self.sent, end)

    @property
    def kept(self) -> bool | None:
        """Whether the post is stored; None when the phone cannot know."""
        return True if self.status in DONE else False if self.definite else None


class ResumingPhones:
    """All phones of a round that resume; `seen` counts what they saw."""

    def __init__(self, phones: Phones, doors: Sequence[str], moment: str) -> None:
        self._witness, self._doors, self._moment = phones.witness, doors, moment
        self.seen: Counter[str] = Counter()

    async def burst(self, name: str, count: int, span_s: float, camera: Camera, rng: random.Random) -> None:
        """Start `count` users over `span_s`; some upload the same pair twice at once."""
        async with asyncio.TaskGroup() as group:
            for number in range(count):
                user, pair, delay_s = f"{name}-r{number}", camera.pair(rng), rng.uniform(0, span_s)
                for tap in range(2 if rng.random() < 0.1 else 1):
                    own, op = random.Random(rng.random()), f"{user}/{tap}"
                    group.create_task(self.upload(op, user, pair, own, delay_s=delay_s), name=op)

    async def upload(self, op: str, user: str, pair: Pair, rng: random.Random, *, delay_s: float = 0.0) -> Ending:
        """Upload a pair until it is acknowledged, refused for good or out of tries."""
        await asyncio.sleep(delay_s)
        front, back = (hashlib.sha256(photo).hexdigest() for photo in (pair.front, pair.back))
        self._witness.note(Invoke(op=op, moment=self._moment, user=user, front=front, back=back))
        bearer = token(SECRET, user, "upload", now=time.time(), ttl_s=3600)
        body, ticket, definite = pair.body, "", True
        course, first = Course.drawn(rng, len(body)), None
        for number in range(TRIES):
            self._witness.note(Sent(op=op, number=number, at=now_ms(), first=number if first is None else first))
            one = Try(number, course, body)
            async with AsyncExitStack() as silent:
                phone = _Phone(self, op, one, bearer, rng, silent)
                if await phone.create(ticket):
                    await phone.resume()
            kept, got = one.kept, bool(one.ticket)
            self._witness.note(Answer(op=op, number=number, at=now_ms(), status=one.status, kept=kept, ticket=got))
            if one.ticket:
                ticket, first = one.ticket, number if first is None else first
            definite = definite and kept is False
            if one.status and one.status not in RETRIED:
                break
            await asyncio.sleep(rng.uniform(0.1, 0.5))
        ending: Ending = "ok" if one.status in DONE else "fail" if definite else "unknown"
        self._witness.note(End(op=op, ending=ending))
        return ending

    def peer(self, bearer: str, version: str, rng: random.Random) -> Peer:
        """A client of a random balancer."""
        return Peer(int(rng.choice(self._doors).rpartition(":")[2]), bearer, version)

    def note(self, line: Named | Told) -> None:
        """Record it with the witness."""
        self._witness.note(line)

    @property
    def path(self) -> str:
        """Where posts are created."""
        return f"/v1/moments/{self._moment}/posts"


class _Phone:
    """One try of one phone."""

    def __init__(
        self, phones: ResumingPhones, op: str, one: Try, bearer: str, rng: random.Random, silent: AsyncExitStack
    ) -> None:
        self._phones, self._op, self._try, self._bearer, self._rng = phones, op, one, bearer, rng
        self._silent = silent  # connections that stay open while the phone goes on with another

    async def create(self, ticket: str) -> bool:
        """Send the POST; whether the upload is to be resumed."""
        one, course = self._try, self._try.course
        whole = course.part == len(one.body)
        lines = [self._peer().complete(whole=whole), f"Content-Type: multipart/form-data; boundary={BOUNDARY}"]
        lines += [*course.lines(one.body), *([f"{TICKET}: {ticket}"] if ticket else [])]
        self._phones.seen["began anew with a ticket" if ticket else "began"] += 1
        peer = self._peer()
        head = peer.head("POST", self._phones.path, *lines, length=course.part)
        found = await self._send(peer, head, 0, course.part, self._cut(0, course.part))
        return self._judged(found, 0, course.part, completing=whole)

    async def resume(self) -> None:
        """HEAD and PATCH until the upload is complete or gone."""
        one, rng = self._try, self._rng
        for _ in range(REQUESTS):
            if not one.location:
                return
            await asyncio.sleep(rng.uniform(*rng.choice(PAUSES_S)))
            if rng.random() < 0.1:
                if not await self._stale():
                    return
                continue
            offset = await self._asked()
            if offset is None:
                if one.status or not one.location:
                    return
                continue
            if rng.random() < 0.12:
                both = await asyncio.gather(self._append(offset), self._append(offset))
                self._phones.seen["two PATCHes at once"] += 1
                if not all(both):
                    return
            elif not await self._append(offset):
                return

    async def _asked(self) -> int | None:
        """The offset that HEAD tells; None without one: then the try may be over."""
        one, peer = self._try, self._peer()
        found = await self._send(peer, peer.head("HEAD", one.location), 0, 0, None)
        if found.final is None or found.final.status not in {200, 204}:
            if found.final is not None and found.final.status == 404:
                self._gone()
            return None
        offset = self._tell(found.final)
        if offset is None or not complete(found.final):
            return offset
        self._phones.seen["HEAD said complete"] += 1
        one.status = 200
        if peer.version in {"3", "8"}:  # the answer of the post again
            head = peer.patch(one.location, offset, 0)
            again = await self._send(peer, head, offset, offset, None)
            if again.final is not None and again.final.status not in {*DONE, 404} and again.final.status < 500:
                one.status = again.final.status
        return None

    async def _append(self, offset: int, *, stale: bool = False) -> bool:
        """PATCH the rest, or a part of it, from this offset; whether the try goes on."""
        one, peer, rng = self._try, self._peer(), self._rng
        end = len(one.body)
        if not stale and end - offset > 1 and rng.random() < 0.15:
            end = rng.randint(offset + 1, end - 1)
        whole = end == len(one.body)
        head = peer.patch(one.location, offset, end - offset, whole=whole)
        found = await self._send(peer, head, offset, end, None if stale else self._cut(offset, end))
        return self._judged(found, offset, end, completing=whole)

    async def _stale(self) -> bool:
        """PATCH from an offset that is not the upload's: the answer tells the right one. Whether the try goes on."""
        self._phones.seen["old offsets"] += 1
        return await self._append(self._rng.randint(0, max(0, self._try.known - 1)), stale=True)

    def _judged(self, found: Exchange, offset: int, end: int, *, completing: bool) -> bool:
        """Take in what came of a request; whether the try goes on."""
        one, final = self._try, found.final
        if final is None:
            one.definite = one.definite and not (completing and found.sent == end - offset)
            return bool(one.location) and not one.status
        self._keep_ticket(final)
        if final.status < 300:
            self._tell(final)
            if offset:
                self._phones.seen["resumed"] += 1
            if completing:
                one.status = final.status if final.status in DONE else 500
            return not one.status
        if final.status == 404:
            self._gone()
            return False
        if final.status == 409 and "upload-offset" in final.fields:
            self._phones.seen["409 with the offset"] += 1
            self._tell(final)
            return not one.status
        stored = msgspec.json.decode(final.body, type=Problem).stored if final.body else None
        one.definite = one.definite and (stored is False or not completing)
        if final.status in RETRIED and one.location and (offset or final.status == 408):
            return not one.status
        one.status = one.status or final.status
        return False

    def _gone(self) -> None:
        """There is no such upload any more."""
        self._phones.seen["404"] += 1
        self._try.location = ""

    def _tell(self, said: Said) -> int | None:
        """The offset of an answer, recorded; None without one."""
        told = said.fields.get("upload-offset", "")
        if not told.isdigit():
            return None
        one = self._try
        one.known = int(told)
        self._phones.note(Told(op=self._op, number=one.number, offset=one.known, sent=one.sent))
        return one.known

    def _keep_ticket(self, said: Said) -> None:
        for line in said.raw.decode().split("\r\n"):
            if line.lower().startswith(f"{TICKET.lower()}: "):
                self._try.ticket = line.partition(": ")[2]

    def _interim(self, said: Said) -> None:
        if said.status != 104:
            return
        self._keep_ticket(said)
        if "location" in said.fields and not self._try.location:
            self._try.location = said.location
            self._phones.note(Named(op=self._op, number=self._try.number, at=now_ms()))

    def _peer(self) -> Peer:
        return self._phones.peer(self._bearer, self._try.course.version, self._rng)

    def _cut(self, offset: int, end: int) -> int | None:
        """After how many bytes of the content this request breaks; None: not."""
        if not self._try.breaks or self._rng.random() < 0.15:
            return None
        self._try.breaks -= 1
        self._phones.seen["breaks"] += 1
        return self._rng.randint(1, max(1, end - offset))

    async def _lingers(self, found: Exchange) -> None:
        """Before the break: most phones have had the time to hear where their upload is."""
        await asyncio.sleep(self._rng.uniform(0, 0.3))
        if self._rng.random() < 0.85:
            for _ in range(30):
                if self._try.location or found.over:
                    return
                await asyncio.sleep(0.05)

    async def _send(self, peer: Peer, head: bytes, offset: int, end: int, cut: int | None) -> Exchange:
        """Make the request and read its answers; it breaks after `cut` bytes of its content, `body[offset:end]`."""
        one, content = self._try, self._try.body[offset:end]
        found = Exchange(lambda sent: one.sends(offset + sent))
        stop = len(content) if cut is None else cut
        with suppress(TimeoutError, OSError):
            async with asyncio.timeout(ANSWER_S):
                connection = await self._silent.enter_async_context(await peer.connect())
                async with asyncio.TaskGroup() as group:
                    bodyless = head.startswith(b"HEAD")
                    reading = group.create_task(read(connection, found, self._interim, bodyless=bodyless), name="read")
                    await write(connection, found, head, content[:stop], one.course.pace_s)
                    if cut is not None:
                        await self._lingers(found)
                        reading.cancel()
                if cut is None or found.final is not None:
                    connection.writer.close()
                elif (how := self._rng.random()) < 0.7:  # the others stay silent until the try ends
                    broken(connection, reset=how < 0.35)
        return found
