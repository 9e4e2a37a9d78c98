"""The hot path to S3: one object written, read, checked or deleted, without copies and without botocore.

`put_object` of aioboto3 costs more than everything else that a node does for a pair, and its model of S3 takes more
memory than a thousand uploads. Here a call is a signature (`signing.py`) and a head (`wire.py`) before the caller's
buffers, whose CRC-32 is signed too. The buffers stay unchanged until the call returns, so a retry sends the same bytes.
Retries follow S3's rules for clients: after an answer that asks for it, or a broken connection, with a jittered pause.
A request that surely was not done, because there was no connection or the endpoint cannot serve yet, goes to the next
endpoint at once. One that was silent to the end is not repeated: its caller has waited long enough.
"""

import asyncio
import random
import secrets
import ssl
import time
from collections.abc import Mapping, Sequence
from enum import Enum
from functools import partial
from types import TracebackType
from typing import Final, Self
from urllib.parse import quote

from .. import keys as names
from ..blobs import Buffer
from . import agreement, canary, hidden
from .answer import BUSY, CODE, DONE, NO_QUORUM, NOT_YET, Answer
from .choice import hides, others, too_few
from .credentials import NoKeys, Source
from .endpoint import Endpoint, State
from .endpoints import Endpoints
from .further import Further
from .request import Method, Request, announced, asked, quoted
from .signing import signed
from .wire import DOUBT_S, Silent, Unsent

_CHANGES: Final = {"PUT", "DELETE"}
TEST_S: Final = 4.0  # one request of a test whether endpoints agree
_PAUSE_S: Final = 0.2  # at most, before the second attempt; doubled before each further one
_PAUSE_S_MAX: Final = 5.0


class _Step(Enum):
    """What follows an outcome that is no success."""

    END = "return or raise it"
    ELSEWHERE = "this endpoint surely did not do it: another one, at once"
    LATER = "another attempt, after a pause"


# As MinIO would answer in the end; and what it should answer.
_CANNOT_WRITE: Final = Answer(503, code="SlowDownWrite")
_APART: Final = Answer(503, code="MembersApart")
_UNFIT: Final = Answer(503, code="NoSuitableEndpoint")
# The condition of a PUT that tests an endpoint; no object has this entity tag.
_CONDITIONS: Final = {"create": {"if-none-match": "*"}, "swap": {"if-match": '"00000000000000000000000000000000"'}}


class Objects:
    """Calls to one bucket, each signed with the current keys; `ca_file` replaces the system's CAs. To be entered."""

    def __init__(
        self,
        endpoints: Sequence[str],
        bucket: str,
        region: str,
        keys: Source,
        *,
        connections_max: int,
        connect_timeout_s: float,
        read_timeout_s: float,
        attempts_max: int,
        ca_file: str = "",
    ) -> None:
        self._bucket = bucket
        self._region = region
        self._keys = keys
        self._attempts_max = attempts_max
        self._silence_s = read_timeout_s
        secure = any(url.startswith("https:") for url in endpoints)
        self.endpoints = Endpoints(
            endpoints,
            self._bucket_head,
            partial(agreement.apart, self._asked),
            canary.Canary(partial(self._head, "HEAD", f"/{bucket}/{canary.KEY}", {}), self.call),
            trust=ssl.create_default_context(cafile=ca_file or None) if secure else None,
            connections_max=connections_max,
            connect_timeout_s=connect_timeout_s,
        )
        self._further = Further(bucket, self.endpoints.all, partial(self._sent, silence_s=min(TEST_S, read_timeout_s)))

    async def __aenter__(self) -> Self:
        await self.endpoints.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.endpoints.__aexit__(kind, error, trace)

    async def put(
        self, key: str, parts: Sequence[Buffer], condition: Mapping[str, str], query: Mapping[str, str] | None = None
    ) -> Answer:
        """PUT these buffers in order, with a condition (`if-none-match: *`, `if-match: …`, or none); see `call`."""
        return await self.call("PUT", key, {**announced(parts), **condition}, parts, query=query)

    async def call(
        self,
        method: Method,
        key: str,
        fields: Mapping[str, str] | None = None,
        parts: Sequence[Buffer] = (),
        *,
        query: Mapping[str, str] | None = None,
    ) -> Answer:
        """One call about an object, or about the bucket if the key is empty.

        Returns the answer of the last attempt; OSError (TimeoutError included) if that had none. `read_timeout_s` of
        silence is for all attempts together, and none begins later than that.
        """
        path = f"/{self._bucket}/{quote(key, safe='/~')}" if key else f"/{self._bucket}"
        path += asked(query)
        now = asyncio.get_running_loop().time()
        trial = not key or key.startswith(names.PROBES_PREFIX)
        until, writes = now + self._silence_s, method in _CHANGES
        request = Request(method, key, path, fields or {}, parts, writes, now, until, trial)
        if request.expects is None or not hides(self.endpoints.all):
            return await self._answered(request)
        since = await self.endpoints.looks.before()
        outcome: Answer | OSError
        try:
            outcome = await self._answered(request)
        except OSError as error:
            outcome = error
        done = isinstance(outcome, Answer) and outcome.went_well
        if (done or request.unclear) and not await self.endpoints.looks.all_since(since):
            await self.endpoints.looks.told()
            outcome = await self._further.replaced(request, outcome) or outcome
        if isinstance(outcome, OSError):
            try:
                raise outcome
            finally:
                del outcome  # its traceback has this frame: both, and the body, would wait for the collector
        return outcome

    async def _answered(self, request: Request) -> Answer:
        """The answer of the last attempt; OSError."""
        endpoint = await self._picked(request)
        if endpoint is None:
            return self._nowhere()
        try:
            answer = await self._tried(endpoint, request, self._silence_s)
        except OSError as error:
            return await self._persist(request, endpoint, error)
        if answer.went_well and (request.writes or not self.endpoints.shaken):
            return answer
        return await self._persist(request, endpoint, answer)

    def _nowhere(self) -> Answer:
        """No endpoint may get the request."""
        states = {one.state for one in self.endpoints.all}
        if State.READS not in states and too_few(self.endpoints.all):
            return hidden.AWAY
        return _CANNOT_WRITE if State.READS in states else _UNFIT if states == {State.UNFIT} else _APART

    async def _picked(self, request: Request, tried: Sequence[Endpoint] = ()) -> Endpoint | None:
        """The endpoint for a request, which may be about to be tested; None: no change is possible."""
        found = self.endpoints.pick(writes=request.writes, trial=request.trial, tried=tried)
        if found is None and await self.endpoints.tested():
            found = self.endpoints.pick(writes=request.writes, trial=request.trial, tried=tried)
        return found

    async def _persist(self, request: Request, endpoint: Endpoint, outcome: Answer | OSError) -> Answer:
        """Go on after the first outcome, which was no success: at another endpoint, or later, or not at all."""
        loop, endpoints, tried = asyncio.get_running_loop(), self.endpoints, [endpoint]
        attempt, passed = 1, 1  # attempts, and endpoints of this attempt that surely did not take the request
        while True:
            outcome, step = await self._judged(request, endpoint, outcome, tried)
            left_s = request.until - loop.time()
            if step is _Step.ELSEWHERE and passed < len(endpoints.all):
                passed += 1
            elif step is _Step.END or attempt == self._attempts_max or left_s < 0:
                break
            else:
                await asyncio.sleep(random.uniform(0, min(_PAUSE_S_MAX, _PAUSE_S * 2 ** (attempt - 1))))
                attempt, passed = attempt + 1, 1
            chosen = await self._picked(request, tried)
            if chosen is None:
                return self._nowhere()
            endpoint = chosen
            tried.append(endpoint)
            try:
                outcome = await self._tried(endpoint, request, max(min(DOUBT_S, self._silence_s), left_s))
            except OSError as error:
                outcome = error
        if isinstance(outcome, OSError):
            try:
                raise outcome
            finally:
                del outcome  # its traceback has this frame: both, and the body, would wait for the collector
        return outcome

    async def _judged(
        self, request: Request, endpoint: Endpoint, outcome: Answer | OSError, tried: Sequence[Endpoint]
    ) -> tuple[Answer | OSError, _Step]:
        """The outcome of one endpoint, as far as it can be believed, and what to do."""
        endpoints = self.endpoints
        if isinstance(outcome, Unsent):
            endpoints.leave_out(endpoint, State.DOWN)
            return outcome, _Step.ELSEWHERE
        if isinstance(outcome, OSError):
            request.unclear.append(endpoint.url)
            return outcome, _Step.END if isinstance(outcome, Silent) else _Step.LATER
        if outcome.code in NOT_YET:
            endpoints.leave_out(endpoint, State.DOWN)
            return outcome, _Step.ELSEWHERE
        if outcome.code in NO_QUORUM:
            if outcome.code == "SlowDownWrite":
                endpoints.leave_out(endpoint, State.READS)
            return outcome, _Step.ELSEWHERE if others(endpoints.all, tried) else _Step.END
        if request.tells_what_is_missing(outcome) and await self._uncertain(request, outcome):
            return await self._missed(request, endpoint, outcome, last=not others(endpoints.all, tried))
        if outcome.status >= 500 and outcome.code not in BUSY:
            request.unclear.append(endpoint.url)
            endpoints.doubt(endpoint)  # One that fails at everything is left out like a dead one.
        return outcome, _Step.LATER if outcome.worth_a_retry else _Step.END

    async def _uncertain(self, request: Request, outcome: Answer) -> bool:
        """Whether there may be what is said to be missing: members, or drives, are or were away."""
        if outcome.status == 404 and request.key and not request.trial and hides(self.endpoints.all):
            await self.endpoints.looks.told()
        return self.endpoints.shaken

    async def _missed(
        self, request: Request, endpoint: Endpoint, outcome: Answer, *, last: bool
    ) -> tuple[Answer, _Step]:
        """What a member says to be missing, which others, also such as are away, may have."""
        if not await self.endpoints.can_write(endpoint):
            outcome = Answer(503, code="SlowDownRead")
        elif outcome.status != 404:
            return outcome, _Step.END
        elif last and request.key and not request.writes and hides(self.endpoints.all):
            outcome = await self._further.hidden(endpoint, request, "") or outcome
        return outcome, _Step.END if last else _Step.ELSEWHERE

    async def _tried(self, endpoint: Endpoint, request: Request, silence_s: float) -> Answer:
        """The answer of this endpoint, which is asked for a change only if it hides nothing; OSError."""
        expected = request.expects
        if expected is not None and self.endpoints.shaken and hides(self.endpoints.all):
            why = await self._further.hidden(endpoint, request, expected)
            if why is not None:
                return why
        return await self._sent(endpoint, request, silence_s)

    async def _sent(self, endpoint: Endpoint, request: Request, silence_s: float) -> Answer:
        """The answer of this endpoint; OSError."""
        head = await self._head(request.method, request.path, request.fields, endpoint.host)
        endpoint.busy += 1
        try:
            said = await endpoint.wires.ask(
                [head, *request.parts],
                now=request.now,
                silence_s=silence_s,
                head_only=request.method == "HEAD",
                writes=request.writes,
            )
        finally:
            endpoint.busy -= 1
        good = said.status in DONE
        if good and request.method == "GET" and not said.measured:
            raise ConnectionError("the store did not say how long the object is")
        if good and (request.method == "GET" or b"<Error" not in said.body):
            return Answer(said.status, said.body, head=said.head)
        code = CODE.search(said.body.decode("utf-8", "replace"))
        return Answer(said.status, said.body, code[1] if code else str(said.status), said.head)

    async def _asked(self, endpoint: Endpoint, what: agreement.What, key: str, version: str) -> tuple[str, str]:
        """One request of a test whether endpoints agree; see `agreement`."""
        method: Method = "PUT" if what in _CONDITIONS else "DELETE"
        parts = [secrets.token_bytes(16)] if what in _CONDITIONS else []
        fields = {**announced(parts), **_CONDITIONS[what]} if what in _CONDITIONS else {}
        path = f"/{self._bucket}/{key}" + (f"?versionId={quoted(version)}" if version else "")
        now = asyncio.get_running_loop().time()
        request = Request(method, "", path, fields, parts, writes=False, now=now, until=0.0, trial=True)
        answer = await self._sent(endpoint, request, min(TEST_S, self._silence_s))
        return answer.code, answer.version

    async def _bucket_head(self, host: str) -> bytes:
        """A HEAD of the bucket; NoKeys."""
        return await self._head("HEAD", f"/{self._bucket}", {}, host)

    async def _head(self, method: Method, path: str, fields: Mapping[str, str], host: str) -> bytes:
        """The head of a request, signed now; NoKeys."""
        try:
            keys = await self._keys()
        except Exception as error:  # botocore's sources raise what they like
            raise NoKeys(f"no keys for the store: {error}") from error
        date = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        headers = signed(keys, self._region, host, method, path, fields, date)
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode()
