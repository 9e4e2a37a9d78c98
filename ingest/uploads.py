"""The upload path: decide, receive, commit with one PUT, queue the jobs, answer.

The order matters. Every check that can refuse an upload runs before a byte of the body is read; only then a client that
sent `Expect: 100-continue` is told to continue. The commit is a PUT with `If-None-Match: *` on a key made of moment and
user. Whatever other uploads are in progress, it decides whether this is a new post, a repetition or a conflict;
`storage/existence.py` decides about deletions. After the commit no failure changes the answer: without Redis it is
still 201, and the sweeper queues the jobs.
"""

import logging
import random
import time

import msgspec
from aiohttp import web
from redis.exceptions import RedisError

from storage import keys
from storage.blobs import BlobStore, QuorumLost, StoreFull, StoreUnavailable
from storage.existence import Existence, Superseded
from storage.moments import Moments, NoSuchMoment
from storage.posts import NoSuchPost, Posts
from storage.records import ACCEPTING_MS, Moment, Post, Receipt, Times, accepted, from_ms, to_ms

from .admission import Admission, Rank
from .announcing import Announcer
from .auth import PRINCIPAL
from .body.arriving import Shed
from .body.receiving import Pair, Receiver
from .errors import Refusal
from .gate import Gate, GateTimeout
from .gcra import headers as rate_headers
from .links import Links
from .metrics import Metrics
from .peers import ARRIVAL, CLOCKS_MS_MAX, Arrival
from .places import Place
from .ratelimit import RateLimiter
from .returns import Returns, when_away_s
from .tallying import Tallying
from .views import json_answer, post_view

log = logging.getLogger("snapsurge.ingest.uploads")

ATTEMPT = web.ResponseKey("attempt", str)  # that of the post of which an answer tells


class Try(msgspec.Struct, frozen=True):
    """One try of a post: for which moment, whose, since when (unix ms), and by which request."""

    moment: Moment
    post_id: str
    user_id: str
    received_at_ms: int
    arrival: Arrival
    attempt: str  # `attempt_id` of the request that began the try: what was deleted since, it does not post


class Uploads:
    """The call `POST /v1/moments/{id}/posts`. `announcer` reports a committed post to Redis and queues its jobs.

    `node` is this node's name, for receipts.
    """

    def __init__(
        self,
        limiter: RateLimiter,
        admission: Admission,
        gate: Gate,
        receiver: Receiver,
        store: BlobStore,
        moments: Moments,
        posts: Posts,
        announcer: Announcer,
        metrics: Metrics,
        links: Links,
        tallying: Tallying,
        node: str = "",
    ) -> None:
        self._node = node
        self._tallying = tallying
        self._limiter = limiter
        self._admission = admission
        self._gate = gate
        self._returns = Returns()
        self._receiver = receiver
        self._existence = Existence(store)
        self._moments = moments
        self._posts = posts
        self._announcer = announcer
        self._metrics = metrics
        self._links = links

    async def post(self, request: web.Request) -> web.Response:
        """Accept a pair: 201 when it is new, 200 when it is stored already, else a Refusal."""
        tried = await self.begun(request)
        try:
            response = await self._post(request, tried)
        except BaseException as error:
            self.ended(tried, error)
            raise
        self.ended(tried, response)
        return response

    async def begun(self, request: web.Request) -> Try:
        """The try that a request begins; Refusal when the moment takes no post now."""
        arrival, user_id = request[ARRIVAL], request[PRINCIPAL].user_id
        moment, received_at_ms = await self._open_moment(request.match_info["moment_id"], arrival)
        return Try(moment, keys.post_id(moment.id, user_id), user_id, received_at_ms, arrival, arrival.attempt)

    def ended(self, tried: Try, outcome: web.Response | BaseException | None) -> None:
        """Count a try, with its answer or error; None: the client left."""
        name, ours = "unfinished", False
        if isinstance(outcome, web.Response):
            name = "created" if outcome.status == 201 else "replayed"
        elif isinstance(outcome, Refusal):
            name, ours = outcome.code, outcome.status >= 500
        elif isinstance(outcome, Exception) and not isinstance(outcome, ConnectionError):
            name, ours = "internal", True
        arrival = tried.arrival
        self._tallying.ended(
            *(tried.post_id, name, tried.received_at_ms), retry=arrival.retry, ours=ours, request_id=arrival.request_id
        )

    async def _post(self, request: web.Request, tried: Try) -> web.Response:
        boundary, length = self._receiver.announced(request)
        digest = self._receiver.retry_digest(request) if tried.arrival.retry else None
        place = await self.admit(tried, length, announced=request.content_length is not None)
        try:
            with self._metrics.stages("accept").time():
                pair = await self._receiver.receive(request, boundary, place, digest)
            return await self.store(tried, pair)
        except Shed:
            raise self.overloaded() from None
        finally:
            self._admission.release(place)

    async def admit(self, tried: Try, length: int, *, announced: bool) -> Place:
        """A place for an upload of at most `length` bytes, which the caller must release; Refusal."""
        late = tried.received_at_ms > to_ms(tried.moment.closes_at)
        # Before the user's rate limit, so that an upload refused here costs no call to Redis and does not count against
        # the user.
        place = self._place(tried.user_id, length, Rank.of(retry=tried.arrival.retry, late=late), announced=announced)
        try:
            await self._limit(tried.user_id, tried.post_id)
        except BaseException:
            self._admission.release(place)
            raise
        return place

    async def store(self, tried: Try, pair: Pair) -> web.Response:
        """Commit a pair that has arrived: 201 when it is new, 200 when it is stored already; Refusal."""
        receipt = Receipt(
            id=tried.post_id,
            moment_id=tried.moment.id,
            user_id=tried.user_id,
            received_at=from_ms(tried.received_at_ms),
            closes_at=tried.moment.closes_at,
            request_id=tried.arrival.request_id,
            attempt=tried.attempt,
            times=self._times(tried.arrival, tried.received_at_ms),
            photos=pair.photos,
            meta=msgspec.Raw(pair.meta),
        )
        return await self._commit(receipt, pair)

    async def stands(self, post_id: str, attempt: str) -> bool:
        """Whether the post is still that of this attempt, as a GET would say; StoreUnavailable."""
        try:
            return (await self._posts.get(post_id)).attempt == attempt
        except NoSuchPost:
            return False

    def _times(self, arrival: Arrival, received_at_ms: int) -> Times:
        """When the head of this try was read and its body was complete."""
        return Times(
            retry=arrival.retry,
            head_ms=max((arrival.tried_at_ms or received_at_ms) - received_at_ms, 0),
            body_ms=time.time_ns() // 1_000_000 - received_at_ms,
            node=self._node,
            trace=arrival.trace,
        )

    def _place(self, user: str, length: int, rank: Rank, *, announced: bool) -> Place:
        """Admit the upload, which may shed others; Refusal when there is no place."""
        place, victims = self._admission.admit(user, length, rank, time.perf_counter(), announced=announced)
        for victim in victims:
            victim.shed()
        if place is None:
            raise self.overloaded()
        return place

    def overloaded(self) -> Refusal:
        """The refusal of an upload for which there is no room, with the time at which to come back."""
        self._metrics.posts("shed").inc()
        wait = self._returns.retry_after_s(time.perf_counter(), self._admission.commits.rate, random.random())
        detail = "the node is overloaded; retry after Retry-After seconds, with the ticket if the answer has one"
        return Refusal("overloaded", detail, headers={"Retry-After": str(wait)}, stored=False)

    async def _open_moment(self, moment_id: str, arrival: Arrival) -> tuple[Moment, int]:
        """The moment, if it accepts posts received at that time, and the time at which this post counts as received.

        Not refused for coming before the moment opened are a retry of an attempt that failed on the server's side, and
        a post that was early by the difference of two clocks at most: they count as received when the moment opened.
        """
        received_at_ms = arrival.received_at_ms
        try:
            moment = await self._moments.get(moment_id)
        except NoSuchMoment:
            raise Refusal("no-such-moment", f"no moment {moment_id[:100]}", stored=False) from None
        fires_at_ms = to_ms(moment.fires_at)
        excused = arrival.retry or fires_at_ms - received_at_ms <= CLOCKS_MS_MAX
        if excused and received_at_ms < fires_at_ms <= time.time_ns() // 1_000_000:
            received_at_ms = fires_at_ms
        if received_at_ms < fires_at_ms:
            raise Refusal("moment-not-open", f"the moment fires at {moment.fires_at}", stored=False)
        if received_at_ms > fires_at_ms + ACCEPTING_MS:
            raise Refusal("moment-closed", f"the moment fired at {moment.fires_at}, a day ago", stored=False)
        return moment, received_at_ms

    async def _limit(self, user_id: str, post_id: str) -> None:
        decision = await self._limiter.check(user_id, post_id)
        if not decision.allowed:
            self._metrics.posts("limited").inc()
            fields = rate_headers(decision, self._limiter.rate)
            raise Refusal("rate-limited", "send one pair a moment", headers=fields, stored=False)

    async def _commit(self, receipt: Receipt, pair: Pair) -> web.Response:
        """Commit with one PUT, which decides between new, repeated and conflicting."""
        started = time.perf_counter()
        try:
            async with self._gate.passed():
                proof = self._announcer.proof(receipt.id)
                stored = await self._existence.commit(receipt, pair.front, pair.back)
        except GateTimeout:
            raise self.overloaded() from None
        except Superseded as error:
            detail = "the post was deleted after this upload was sent; to post, make a new upload, without its ticket"
            raise Refusal("superseded", detail, stored=False) from error
        except StoreFull as error:
            self._metrics.store_failures("full").inc()
            detail = "the object store is full; operators must free space"
            raise Refusal("storage-full", detail, headers=_soon(), stored=False) from error
        except StoreUnavailable as error:
            self._metrics.store_failures("quorum-lost" if isinstance(error, QuorumLost) else "unavailable").inc()
            raise _unavailable() from error
        if stored.attempt != receipt.attempt:
            if stored.same_photos(receipt):
                return await self._replayed(stored, proof)
            self._metrics.posts("conflict").inc()
            detail = "this user's post for the moment has other photos; delete it first"
            raise Refusal("already-posted", detail, stored=False)
        committed_ms = time.time_ns() // 1_000_000
        self._receiver.release(pair)
        self._metrics.stages("store").observe(time.perf_counter() - started)
        self._metrics.posts("accepted").inc()
        times = msgspec.structs.replace(receipt.times, committed_ms=committed_ms - to_ms(receipt.received_at))
        post = msgspec.structs.replace(accepted(receipt), times=times)
        await self._announce(post, receipt, proof, committed_ms)
        return _told(post, json_answer(post_view(post), 201, Location=f"/v1/posts/{post.id}"))

    async def _replayed(self, receipt: Receipt, proof: str) -> web.Response:
        """Answer a repeated pair, and queue its jobs again: the node that stored it may have died before it did."""
        self._metrics.posts("replayed").inc()
        try:
            post = await self._posts.stored(receipt.moment_id, receipt.id)
        except (NoSuchPost, StoreUnavailable):
            raise _unavailable() from None
        if post.state == "accepted":
            await self._announce(post, receipt, proof, 0)
        view = post_view(post, self._links.signer(time.time()))
        return _told(post, json_answer(view, 200, Idempotent_Replayed="true", Location=f"/v1/posts/{post.id}"))

    async def _announce(self, post: Post, receipt: Receipt, proof: str, committed_ms: int) -> None:
        """Update the index and queue the jobs; the pair is stored whatever happens here.

        `proof`: of before the commit. `committed_ms`: when this request committed the pair; 0: an earlier one did.
        """
        try:
            with self._metrics.stages("enqueue").time():
                late = receipt.late_by_ms > 0
                await self._announcer.add(post, late=late, committed_ms=committed_ms, proof=proof)
        except RedisError:  # the pair is committed nevertheless; the announcer logs it and reports the post later
            self._metrics.posts("not_queued").inc()
        except Exception:  # also after a bug in the node
            self._metrics.posts("not_queued").inc()
            log.exception("bug: post %s is stored, but Redis was not told; the sweeper will queue its jobs", post.id)


def _told(post: Post, answer: web.Response) -> web.Response:
    answer[ATTEMPT] = post.attempt
    return answer


def _unavailable() -> Refusal:
    """The store did not say whether it has the pair: the same request again finds out."""
    return Refusal("storage-unavailable", "send the same pair again", headers=_soon(), stored="unknown")


def _soon() -> dict[str, str]:
    return {"Retry-After": str(when_away_s(random.random()))}
