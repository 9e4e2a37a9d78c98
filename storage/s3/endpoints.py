"""The addresses of one store: spreads requests over them, leaves out those that are down, and asks until they are back.

An endpoint is checked while it is in doubt: after a refused or broken connection, while a request is silent, or after
it answered that it cannot serve. A check is a HEAD of the bucket on a new connection, once a second. An endpoint that
does not answer is left out, and requests that wait for it are given up, so that the caller repeats them at another one.
If all are down, reads try all; one endpoint alone behaves as if nobody checked.

MinIO makes a conditional PUT wait for minutes while too few members are there to agree on a lock. So an endpoint that
answers is also asked for the health of its cluster. While the cluster has no write quorum, the endpoint gets no PUT and
no DELETE, and those that wait there are given up; reads continue. A member that sees too few others may answer that an
object is missing which the others have (seen with members that had just come back). So for a minute after any change,
what is missing is believed only if all endpoints say so, with a write quorum.

For the same reason, members that were restarted let several `If-None-Match: *` PUTs of one key succeed, until they see
each other's drives (`agreement.py`). So an endpoint whose connection broke, and every one at first, takes no change
until it agrees with all that take changes; if none does, all that answer must agree with each other. A connection to
each endpoint is kept, so that a restart is noticed at once. This file knows nothing of objects.
"""

import asyncio
import contextlib
import logging
import random
import ssl
from collections.abc import Awaitable, Callable, Collection, Sequence
from functools import partial
from types import TracebackType
from typing import Final, Self

from .endpoint import CHECK_S, Endpoint, State

log = logging.getLogger("snapsurge.storage.s3")

EVERY_S: Final = 1.0
WATCH_S: Final = 10.0  # Less than what a server waits before it ends an idle connection (MinIO: 30 s).
SILENT_S: Final = 10.0  # An endpoint that was silent for longer may have lost sight of the others.
HOLD_S: Final = 3.0  # A change waits this long for the first test of agreement; one takes a tenth of a second.
SHAKEN_S: Final = 60.0  # Members find each other again within half a minute.
# What an endpoint must be for a change, for a change of what only tests the store, and for a read.
_CHANGE: Final = (State.UP,)
_TRIAL: Final = (State.UP, State.APART)
_READ: Final = (State.UP, State.APART, State.READS)


class Endpoints:
    """The endpoints of a store, to be entered before use, and begun (`begin`) before it changes something.

    `bucket` makes a signed HEAD of the bucket for a host; `apart` tells which of these endpoints do not agree, or "".
    All connections of the store together are at most `connections_max`.
    """

    def __init__(
        self,
        urls: Sequence[str],
        bucket: Callable[[str], Awaitable[bytes]],
        apart: Callable[[Sequence[Endpoint]], Awaitable[str]],
        *,
        trust: ssl.SSLContext | None,
        connections_max: int,
        connect_timeout_s: float,
    ) -> None:
        self._bucket, self._apart = bucket, apart
        self._turn = 0
        self._tasks = asyncio.TaskGroup()
        self._checks: dict[Endpoint, asyncio.Task[None]] = {}
        self._watching: list[asyncio.Task[None]] = []
        self._open = False
        self._shaken_until = float("-inf")
        self._agreeing = asyncio.Lock()
        self._why, self._failed_at = "", float("-inf")
        self._tested = asyncio.Event()
        slots = asyncio.Semaphore(connections_max)
        # Shuffled, so that the programs of a machine do not all begin with the same endpoint.
        self.all = [Endpoint(url, trust, connect_timeout_s) for url in random.sample(urls, len(urls))]
        self.several = len(self.all) > 1
        self._untold = set(self.all)
        for one in self.all:
            one.state = State.APART if self.several else State.UP
            one.wires = one.connections(
                slots, doubted=partial(self.doubt, one), broke=partial(self._broke, one), steady=self.several
            )

    def pick(self, *, writes: bool, trial: bool = False, tried: Collection[Endpoint] = ()) -> Endpoint | None:
        """The endpoint for a request: the least busy that serves and was not tried. None: the store takes no change.

        `trial`: a change of what only tests the store, which needs no agreement.
        """
        fit = _READ if not writes else _TRIAL if trial else _CHANGE
        best: Endpoint | None = None
        for one in self.all:
            if one.state not in fit or one in tried:
                continue
            if best is None or one.busy < best.busy or (one.busy == best.busy and one.used < best.used):
                best = one
        if best is None:
            best = self._any(fit, writes=writes)
        if best is not None:
            self._turn += 1
            best.used = self._turn
        return best

    def _any(self, fit: Collection[State], *, writes: bool) -> Endpoint | None:
        """An endpoint although all that serve were tried: one of these, or one that is down, as the check may err."""
        found = [one for one in self.all if one.state in fit]
        if not found and writes:
            found = [one for one in self.all if one.agrees or not (self.several or one.state is State.READS)]
            if not found:
                return None
        return min(found or self.all, key=lambda one: (one.busy, one.used))

    def leave_out(self, endpoint: Endpoint, state: State) -> None:
        """Use this endpoint no more, or for reads only, until a check finds that it serves."""
        endpoint.lost(away=True)
        self._become(endpoint, state)
        self.doubt(endpoint)

    def doubt(self, endpoint: Endpoint) -> None:
        """Check this endpoint now, and once a second until it serves."""
        if self._open and endpoint not in self._checks:
            self._checks[endpoint] = self._tasks.create_task(self._settle(endpoint), name=f"check {endpoint.url}")

    async def begin(self) -> None:
        """Find out which endpoints take changes; wait for the first answer."""
        if self.several:
            for one in self.all:
                self.doubt(one)
            await self.tested()

    async def tested(self) -> bool:
        """Wait until it was tested whether the endpoints agree, a little while; whether there was need to."""
        if self._tested.is_set():
            return False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(HOLD_S):
                await self._tested.wait()
        return True

    @property
    def quorum_lost(self) -> bool:
        """Whether an endpoint said that the store has no write quorum."""
        return any(one.state is State.READS for one in self.all)

    @property
    def shaken(self) -> bool:
        """Whether an endpoint is or was left out or in doubt, so that members may not see each other."""
        return bool(self._checks) or asyncio.get_running_loop().time() < self._shaken_until

    def others(self, tried: Collection[Endpoint]) -> bool:
        """Whether there are endpoints that serve and were not tried."""
        return any(one.state in _TRIAL and one not in tried for one in self.all)

    async def can_write(self, endpoint: Endpoint) -> bool:
        """Whether the endpoint serves with a write quorum, asked at most once a second; else it is left out."""
        now = asyncio.get_running_loop().time()
        if now - endpoint.healthy_at > EVERY_S:
            _, state = await self._looked(endpoint)
            if state is not State.UP:
                self.leave_out(endpoint, state)
                return False
            endpoint.healthy_at = now
        return True

    async def _settle(self, endpoint: Endpoint) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            while True:
                silent, state = await self._looked(endpoint)
                if state is not State.UP and (not silent or loop.time() - began > SILENT_S):
                    endpoint.lost(away=True)
                if state is State.UP and self.several and not endpoint.agrees:
                    state = await self._joined(endpoint)
                self._become(endpoint, state)
                self._untold.discard(endpoint)
                if not self._untold or any(one.state is State.UP for one in self.all):
                    self._tested.set()
                others = [one for one in self.all if one is not endpoint]
                if state is State.READS:
                    endpoint.wires.give_up("the store has no write quorum", writes_only=True)
                    for other in others:  # most likely they have none either
                        self.doubt(other)
                elif silent and any(one.state is State.UP for one in others):
                    endpoint.wires.give_up(f"{endpoint.url} does not answer", writes_only=False)
                if state is State.UP:
                    return
                await asyncio.sleep(EVERY_S)
        finally:
            del self._checks[endpoint]

    async def _joined(self, endpoint: Endpoint) -> State:
        """Whether this endpoint, which answers, may take changes.

        It has settled, and agrees with all that do. If none does, then all that answer and have settled agree, and are
        at least half: so two programs that see the same members never use two that disagree. One that is silent for a
        minute does not count.
        """
        async with self._agreeing:
            if endpoint.agrees:
                return State.UP  # it was tested with another one
            self._become(endpoint, State.APART)
            found, now = [one for one in self.all if one.state is State.UP], asyncio.get_running_loop().time()
            if not endpoint.settled(now):
                return State.APART
            if not found:
                if now - self._failed_at < EVERY_S / 2:
                    return State.APART
                looked = await asyncio.gather(*map(self._looked, self.all))
                silent = [one.url for one, (is_so, _) in zip(self.all, looked, strict=True) if is_so]
                if silent and now < self._shaken_until:
                    return self._disagreed(f"{', '.join(silent)} did not answer")
                up = [one for one, (_, state) in zip(self.all, looked, strict=True) if state is State.UP]
                found = [one for one in up if one is not endpoint and one.settled(now)]
            found.append(endpoint)
            before = [(one.state, one.breaks) for one in found]
            apart = await self._apart(found) if 2 * len(found) >= len(self.all) else "fewer than half of them answer"
            if apart or before != [(one.state, one.breaks) for one in found]:
                return self._disagreed(apart or "a connection broke")
            for one in found:
                one.agrees = True
                self._become(one, State.UP)
            return State.UP

    def _disagreed(self, why: str) -> State:
        if why != self._why:
            log.warning("store endpoints take no changes before they agree: %s", why)
        self._why, self._failed_at = why, asyncio.get_running_loop().time()
        return State.APART

    async def _watch(self) -> None:
        """Keep a connection to each endpoint, whose end tells at once that the server was restarted or cut off."""
        while True:
            await asyncio.sleep(WATCH_S)
            await asyncio.gather(*(self._greet(one) for one in self.all if one.state is State.UP))

    async def _greet(self, endpoint: Endpoint) -> None:
        try:
            request, now = await self._bucket(endpoint.host), asyncio.get_running_loop().time()
            await endpoint.wires.ask([request], now=now, silence_s=CHECK_S, head_only=True)
        except Exception:  # noqa: BLE001 - whatever it is, the check finds it and says it
            self.doubt(endpoint)

    def _broke(self, endpoint: Endpoint) -> None:
        """The server ended a connection: it may have been restarted."""
        endpoint.lost(away=False)
        if self.several and self._open:
            if endpoint.state is State.UP:
                self._become(endpoint, State.APART)
            self.doubt(endpoint)

    async def _looked(self, endpoint: Endpoint) -> tuple[bool, State]:
        """Whether the endpoint is silent, and what it is good for."""
        try:
            request = await self._bucket(endpoint.host)
        except Exception:
            log.exception("store endpoint %s cannot be checked: no keys for the request; it is used", endpoint.url)
            return False, State.UP
        return await endpoint.looked(request)

    def _become(self, endpoint: Endpoint, state: State) -> None:
        if endpoint.state is not state:
            began = endpoint.state is State.APART and not endpoint.breaks  # the program, not the endpoint
            endpoint.state = state
            if began and state is State.UP:
                return
            self._shaken_until = asyncio.get_running_loop().time() + SHAKEN_S
            if not any(one.state is State.UP for one in self.all):
                self._tested.clear()
                self._untold = set(self.all)
            log.warning("store endpoint %s %s", endpoint.url, state.value)

    def close(self) -> None:
        """Close the idle connections; those in use close after their request."""
        self._open = False
        for task in (*self._checks.values(), *self._watching):
            task.cancel()
        for one in self.all:
            one.wires.close()

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        self._open = True
        if self.several:
            self._watching.append(self._tasks.create_task(self._watch(), name="watch endpoints"))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        # Without the error, so that the caller gets the error itself and not an exception group.
        await self._tasks.__aexit__(None, None, None)
