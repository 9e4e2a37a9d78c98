"""The uploads of a node that can be resumed: what each has received, which request it has now, and when it ends.

In the drafts' words these are the upload resources. One is *moving* while a request (its `Leg`) brings bytes, *parked*
while it waits for its client, and *settling* while its post is committed, for which later requests wait. Of one that
was completed the answer is kept for a while, because the client may not have received it. All of it is memory of this
node: no part of a body is written to a store, and what the node forgets, the client sends again.

A parked upload ends `idle_s` seconds after its last byte, or when it is older than `age_s`, whichever comes first; so
does a later request that is still moving at that age. The first request may take as long as that of any other upload.
"""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Final, Protocol

from aiohttp import web

from ..admission import Admission
from ..body.arriving import Arriving, Body
from ..errors import Refusal
from ..metrics import Metrics
from ..uploads import ATTEMPT, Try
from .beginnings import Beginning
from .resource import Answered, Resource
from .tokens import new_token
from .versions import Version

log = logging.getLogger("snapsurge.ingest.resuming")

# Answers of completed uploads that are kept, a kilobyte each; beyond it the oldest is forgotten, and its client sends
# the pair again, which is answered 200.
ANSWERS_MAX: Final = 4096
# Between two commits of one upload: the least `Retry-After`, so that only who comes too early waits.
PAUSE_S: Final = 1.0


class Timers(Protocol):
    """The event loop, as far as it is used here."""

    def time(self) -> float:
        """Seconds of its clock."""

    def call_at(self, when: float, callback: Callable[[], object]) -> asyncio.TimerHandle:
        """Call back at that time."""


class Resources:
    """All resumable uploads of this node. `ended` counts each one once, with its answer or error."""

    def __init__(
        self,
        admission: Admission,
        metrics: Metrics,
        timers: Timers,
        ended: Callable[[Try, web.Response | BaseException | None], None],
        *,
        hint: str,
        idle_s: float,
        age_s: float,
    ) -> None:
        self._admission, self._metrics, self._timers, self._ended = admission, metrics, timers, ended
        self._hint, self._idle_s, self._age_s = hint, idle_s, age_s
        self._open: dict[str, Resource] = {}
        self._parked: dict[str, Resource] = {}  # by user: one each
        self._answers: OrderedDict[str, Answered] = OrderedDict()
        self._empty = asyncio.Event()
        self._empty.set()

    def begin(
        self, tried: Try, beginning: Beginning, version: Version, body: Body, length: int | None, *, lived_s: float
    ) -> Resource:
        """A new upload, which ends the parked one of its user; `lived_s` seconds of its life are over."""
        if older := self._parked.get(tried.user_id):
            self.end(older, "replaced")
        now = self._timers.time()
        token = new_token(self._hint)
        resource = self._open[token] = Resource(token, tried, beginning, version, body, length, now - lived_s, now)
        self._empty.clear()
        self._metrics.resumable_begun.inc()
        return resource

    async def found(self, token: str, user_id: str) -> Resource | Answered:
        """The upload of this user, once its commit has ended if one is under way; Refusal when there is none."""
        while (resource := self._open.get(token)) and resource.tried.user_id == user_id and resource.settled:
            await resource.settled.wait()
        if resource is not None and resource.body.place.gone:  # shed, and its request has not noticed yet
            self.end(resource, "displaced")
        found = self._open.get(token) or self._answers.get(token)
        if isinstance(found, Resource) and found.tried.user_id == user_id:
            return found
        if isinstance(found, Answered) and found.user_id == user_id and found.until > self._timers.time():
            return found
        detail = "it has ended, was never here, or is another user's; make a new upload"
        raise Refusal("no-such-upload", detail)

    def left_s(self, found: Resource | Answered) -> float:
        """Seconds for which the upload, or its answer, is kept from now on, if no more bytes come."""
        if isinstance(found, Answered):
            until = found.until
        else:
            until = min(found.moved_at + self._idle_s, found.begun_at + self._age_s)
        return max(0.0, until - self._timers.time())

    def take(self, resource: Resource, leg: Arriving, *, aged: bool) -> None:
        """Let a request bring bytes; `aged`: it ends with the upload's age."""
        self._unpark(resource)
        resource.requests += 1
        resource.moving = leg
        if aged:
            resource.timer = self._timers.call_at(resource.begun_at + self._age_s, partial(self._aged, resource))

    def stop(self, resource: Resource) -> None:
        """End the request that brings bytes, if there is one; the caller takes the upload, or parks it."""
        leg, resource.moving = resource.moving, None
        if leg is not None:
            detail = "a newer request continues this upload"
            state = resource.version.state(resource.offset, complete=False)
            leg.give_up(Refusal("upload-taken-over", detail, headers=state, stored=False))

    def park(self, resource: Resource) -> None:
        """Keep what has arrived for the client's next request, unless it is more than may be parked."""
        resource.moving = None
        self._unpark(resource)
        user_id, place = resource.tried.user_id, resource.body.place
        if older := self._parked.get(user_id):
            self.end(older, "replaced")
        self._parked[user_id] = resource
        place.on_shed = partial(self.end, resource, "displaced")
        for victim in self._admission.park(place, time.perf_counter()):
            victim.shed()
        if self._parked.get(user_id) is resource:
            due = min(resource.moved_at + self._idle_s, resource.begun_at + self._age_s)
            resource.timer = self._timers.call_at(due, partial(self.end, resource, "expired"))

    def settle(self, resource: Resource) -> None:
        """The body is complete: from now on requests wait until it is known what became of it."""
        self._unpark(resource)
        resource.moving = None
        resource.settled = asyncio.Event()

    def pause_s(self, resource: Resource) -> float:
        """Seconds until its commit may be tried once more: a request without a byte makes the node PUT all of it."""
        return 0.0 if resource.failed_at is None else max(0.0, resource.failed_at + PAUSE_S - self._timers.time())

    def reopen(self, resource: Resource) -> None:
        """Its commit failed through no fault of its client: it waits with all bytes, for as long as after a byte."""
        waiting, resource.settled = resource.settled, None
        resource.failed_at = resource.moved_at = self._timers.time()
        resource.body.buffer.lent = True
        resource.length = resource.offset  # nothing is added to what a PUT may still read
        self._admission.announce(resource.body.place, resource.offset)
        self.park(resource)
        if waiting is not None:
            waiting.set()

    def answer(self, resource: Resource, tried: Try, response: web.Response) -> None:
        """The upload is completed with this answer."""
        now, content = self._timers.time(), response.body
        headers = dict(response.headers)
        kept = content if isinstance(content, bytes) else b""
        answered = Answered(
            *(tried.user_id, tried.post_id, response[ATTEMPT], resource.version, resource.offset),
            *(response.status, headers, kept, now + self._idle_s),
        )
        self._close(resource, "completed", tried, response)
        self._answers[resource.token] = answered
        while len(self._answers) > ANSWERS_MAX or next(iter(self._answers.values())).until <= now:
            self._answers.popitem(last=False)

    def end(
        self, resource: Resource, reason: str, outcome: BaseException | None = None, *, tried: Try | None = None
    ) -> None:
        """Forget an upload and what has arrived of it; a request that is still moving ends with `outcome`."""
        if self._open.get(resource.token) is not resource:
            return
        leg, resource.moving = resource.moving, None
        self._close(resource, reason, tried or resource.tried, outcome)
        if resource.settled is None:  # else a PUT that failed may still read it
            resource.body.buffer.empty()
        if leg is not None and isinstance(outcome, Exception):
            leg.give_up(outcome)

    def forget(self, token: str) -> None:
        """Forget the answer of a completed upload."""
        self._answers.pop(token, None)

    async def drained(self, seconds: float) -> None:
        """Wait until no upload is left, at most so long; then let go of those that wait for their clients or move.

        Those that are being committed stay.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._empty.wait()
        if self._parked:
            size = sum(one.offset for one in self._parked.values())
            log.warning(
                "the node stops: %d parked uploads with %d bytes end; their phones send them again to other nodes",
                len(self._parked),
                size,
            )
        for resource in list(self._parked.values()):
            self.end(resource, "drained")
        for resource in [one for one in self._open.values() if one.moving]:
            fields = {"Retry-After": "1", **resource.version.ended(), **resource.excuse()}
            detail = "this server stops; make a new upload, with the ticket if the answer has one"
            self.end(resource, "drained", Refusal("overloaded", detail, headers=fields, stored=False))

    def _unpark(self, resource: Resource) -> None:
        """It moves, or ends: no timer, no place among the parked ones."""
        if resource.timer is not None:
            resource.timer.cancel()
            resource.timer = None
        if self._parked.get(resource.tried.user_id) is resource:
            del self._parked[resource.tried.user_id]
            self._admission.resume(resource.body.place, time.perf_counter())

    def _close(self, resource: Resource, reason: str, tried: Try, outcome: web.Response | BaseException | None) -> None:
        self._unpark(resource)
        resource.body.place.on_shed = None  # a reference cycle
        del self._open[resource.token]
        if not self._open:
            self._empty.set()
        self._admission.release(resource.body.place)
        if resource.settled is not None:
            resource.settled.set()
        self._metrics.resumable_ended(reason).inc()
        self._ended(tried, outcome)
        if reason != "completed" or resource.requests > 1:
            log.info(
                "upload of post %s: %s after %d requests with %d bytes",
                *(tried.post_id, reason, resource.requests, resource.offset),
                extra={"request": tried.arrival.request_id},
            )

    def _aged(self, resource: Resource) -> None:
        # No 408: the client sends in time, and a balancer would count a 408 as bytes that the node did not get.
        detail = f"it was not complete {self._age_s:g} s after it began, and has ended; make a new upload"
        refusal = Refusal("no-such-upload", detail, headers=resource.version.ended(), stored=False)
        self.end(resource, "expired", refusal)
