"""The addresses of one store: spreads requests over them, leaves out those that are down, and asks until they are back.

An endpoint in doubt (a refused or broken connection, a silent request, an answer that it cannot serve) is checked: a
HEAD of the bucket on a new connection, once a second. Requests that wait for one that does not answer are given up, so
that the caller repeats them at another one. Without a write quorum of its cluster it gets no change. For a minute after
any change of an endpoint, what is missing is believed only if all say so, with a write quorum.

Conditional writes are kept only by endpoints that agree (`agreement.py`). So one whose connection broke, and every one
at first, takes no change until it agrees with all that take changes; if none does, all that answer must agree. One that
breaks the rules by itself, or for a minute beside others, gets nothing. Connections are kept, so that a restart is
noticed at once; `looks.py` asks on others whether all members are there. This file knows nothing of objects.
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

from . import choice
from .agreement import Finding
from .canary import Canary
from .credentials import NoKeys
from .endpoint import CHECK_S, Endpoint, State
from .looks import Looks

log = logging.getLogger("snapsurge.storage.s3")

EVERY_S: Final = 1.0
WATCH_S: Final = 10.0  # Less than what a server waits before it ends an idle connection (MinIO: 30 s).
SILENT_S: Final = 10.0  # An endpoint that was silent for longer may have lost sight of the others.
HOLD_S: Final = 3.0  # A change waits this long for the first test of agreement; one takes a tenth of a second.
SHAKEN_S: Final = 60.0  # Members find each other again within half a minute.
LASTING_S: Final = 60.0  # Members that do not agree for so long need a person.
AFTER_UNFIT: Final = 30  # In checks: a test is some dozens of small requests.


class Endpoints:
    """The endpoints of a store, to be entered before use, and begun (`begin`) before it changes something.

    `bucket` makes a signed HEAD of the bucket for a host; NoKeys. `apart` tells whether these endpoints agree. All
    connections of the store together are at most `connections_max`.
    """

    def __init__(
        self,
        urls: Sequence[str],
        bucket: Callable[[str], Awaitable[bytes]],
        apart: Callable[[Sequence[Endpoint]], Awaitable[Finding]],
        canary: Canary,
        *,
        trust: ssl.SSLContext | None,
        connections_max: int,
        connect_timeout_s: float,
    ) -> None:
        self._bucket, self._apart = bucket, apart
        self._turn, self._told, self._open = 0, 0, False
        self._tasks = asyncio.TaskGroup()
        self._checks: dict[Endpoint, asyncio.Task[None]] = {}
        self._watching: list[asyncio.Task[None]] = []
        self._shaken_until = self._failed_at = float("-inf")
        self._agreeing, self._tested = asyncio.Lock(), asyncio.Event()
        slots = asyncio.Semaphore(connections_max)
        # Shuffled, so that the programs of a machine do not all begin with the same endpoint.
        self.all = [Endpoint(url, trust, connect_timeout_s) for url in random.sample(urls, len(urls))]
        self.several = self._proves = len(self.all) > 1
        self._untold = set(self.all)
        for one in self.all:
            one.state, one.agrees = (State.APART, False) if self.several else (State.UP, True)
            one.wires = one.connections(
                slots, doubted=partial(self.doubt, one), broke=partial(self._broke, one), steady=self.several
            )
        self.looks = Looks(self.all, self._tasks, canary, self.doubt)

    def pick(self, *, writes: bool, trial: bool = False, tried: Collection[Endpoint] = ()) -> Endpoint | None:
        """The endpoint for a request, or None; see `choice`."""
        best = choice.chosen(self.all, writes=writes, trial=trial, tried=tried)
        if best is not None:
            self._turn += 1
            best.used = self._turn
        return best

    def leave_out(self, endpoint: Endpoint, state: State) -> None:
        """Use this endpoint no more, or for reads only, until a check finds that it serves."""
        endpoint.lost(away=True)
        self._become(endpoint, state)
        self.doubt(endpoint)

    def doubt(self, endpoint: Endpoint) -> None:
        """Check this endpoint now, but not more than once a second, until it serves."""
        if self._open and endpoint not in self._checks:
            self._checks[endpoint] = self._tasks.create_task(self._settle(endpoint), name=f"check {endpoint.url}")

    async def begin(self, *, alone: bool) -> None:
        """Find out which endpoints take changes. `alone`: one alone is tested, too, whenever it comes back."""
        self._proves |= alone
        if self.several:
            for one in self.all:
                one.become(one.state)
                self.doubt(one)
            await self.tested()

    def untested(self) -> None:
        """The store could not be tested when the program started; several endpoints are tested anyway."""
        if not self.several:
            self.leave_out(self.all[0], State.READS)

    async def tested(self) -> bool:
        """Wait until it was tested whether the endpoints agree, a little while; whether there was need to."""
        waits = not self._tested.is_set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(HOLD_S):
                await self._tested.wait()
        return waits

    @property
    def shaken(self) -> bool:
        """Whether an endpoint is or was left out or in doubt, or drives are missing: members may not see objects."""
        shaken_until = max(self._shaken_until, self.looks.missing_at + SHAKEN_S)
        return bool(self._checks) or asyncio.get_running_loop().time() < shaken_until

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
        began = asyncio.get_running_loop().time()
        try:
            while True:
                silent, state = await self._found(endpoint, began)
                self._become(endpoint, state)
                self._untold.discard(endpoint)
                if not self._untold or any(one.state is State.UP for one in self.all):
                    self._tested.set()
                others = [one for one in self.all if one is not endpoint]
                if state is State.READS:
                    # MinIO lets a conditional PUT wait for minutes without a write quorum.
                    endpoint.wires.give_up("the store has no write quorum", writes_only=True)
                    for other in others:  # most likely they have none either
                        self.doubt(other)
                elif silent and any(one.state is State.UP for one in others):
                    # So that the callers repeat these requests at another endpoint.
                    endpoint.wires.give_up(f"{endpoint.url} does not answer", writes_only=False)
                if state is State.UP:
                    return
                await asyncio.sleep(AFTER_UNFIT * EVERY_S if state is State.UNFIT else 0)
        finally:
            del self._checks[endpoint]

    async def _found(self, endpoint: Endpoint, began: float) -> tuple[bool, State]:
        """Whether the endpoint is silent, and what it is good for, by a check and a test."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(max(0.0, endpoint.looked_at + EVERY_S - loop.time()))
        silent, state = await self._looked(endpoint)
        endpoint.looked_at = loop.time()
        if state is not State.UP and (not silent or loop.time() - began > SILENT_S):
            endpoint.lost(away=True)
        if state is State.UP and self._proves and not endpoint.agrees:
            return silent, await self._joined(endpoint)
        return silent, State.UNFIT if endpoint.state is State.UNFIT else state  # until a test says otherwise

    async def _joined(self, endpoint: Endpoint) -> State:
        """Whether this endpoint, which answers, may take changes: it has settled, and agrees with all that do.

        If none does, then all that answer and have settled agree, and are at least half: so two programs that see the
        same members never use two that disagree. One that is silent for a minute does not count.
        """
        async with self._agreeing:
            if endpoint.agrees:
                return State.UP  # it was tested with another one
            if self.several and endpoint.state is not State.UNFIT:
                self._become(endpoint, State.APART)
            now = asyncio.get_running_loop().time()
            found = [one for one in self.all if one.state is State.UP and one is not endpoint]
            if self.several and not endpoint.settled(now):
                return endpoint.state
            if not found:
                if now - self._failed_at < EVERY_S / 2:
                    return endpoint.state
                looked = await asyncio.gather(*map(self._looked, self.all))
                silent = [one.url for one, (is_so, _) in zip(self.all, looked, strict=True) if is_so]
                if silent and now < self._shaken_until:
                    return self._disagreed(endpoint, Finding(f"{', '.join(silent)} did not answer"))
                up = (one for one, (_, state) in zip(self.all, looked, strict=True) if state is State.UP)
                found = [one for one in up if one is not endpoint and one.settled(now)]
            found.append(endpoint)
            finding = await self._agreed(found)
            if finding.why:
                return self._disagreed(endpoint, finding)
            for one in found:
                one.agrees, one.apart_since = True, float("inf")
                self._become(one, State.UP)
            self._told = 0
            return endpoint.state

    async def _agreed(self, found: list[Endpoint]) -> Finding:
        """Test whether these agree; removes those that break the rules by themselves, which no program uses."""
        while True:
            if 2 * len(found) < len(self.all):
                return Finding("fewer than half of the endpoints answer and honour conditional writes")
            before = [(one.state, one.breaks) for one in found]
            finding = await self._apart(found)
            if before != [(one.state, one.breaks) for one in found]:
                # What was found may be from before a restart.
                return Finding(finding.why or "a connection broke")
            if (broken := finding.broken) is None:
                return finding
            if broken.state is not State.UNFIT:
                log.error("store endpoint %s is not used: %s", broken.url, finding.why)
            found.remove(broken)
            broken.lost(away=False)
            self._become(broken, State.UNFIT)
            self.doubt(broken)

    def _disagreed(self, endpoint: Endpoint, finding: Finding) -> State:
        """The endpoint takes no change yet; the log tells why when it begins and when it has lasted."""
        now = self._failed_at = asyncio.get_running_loop().time()
        if not self.several or endpoint.state is State.UNFIT:
            return endpoint.state
        endpoint.apart_since = min(endpoint.apart_since, now)
        lasted = now - endpoint.apart_since >= LASTING_S
        level = logging.ERROR if lasted else logging.WARNING
        if level > self._told:
            self._told = level
            log.log(level, "writes paused, the endpoints have not passed the conditional-write check: %s", finding.why)
        serves = any(one.state is State.UP for one in self.all)
        return State.UNFIT if lasted and finding.overwrote and serves else State.APART

    async def _watch(self) -> None:
        """Keep a connection to each endpoint, whose end tells at once that the server was restarted or cut off."""
        while True:
            await asyncio.sleep(WATCH_S)
            await asyncio.gather(*(self._greet(one) for one in self.all if one.state is State.UP))
            if choice.hides(self.all):
                await self.looks.watch(make=not self.shaken)

    async def _greet(self, endpoint: Endpoint) -> None:
        try:
            request, now = await self._bucket(endpoint.host), asyncio.get_running_loop().time()
            await endpoint.wires.ask([request], now=now, silence_s=CHECK_S, head_only=True)
        except OSError:  # whatever it is, the check finds it and says it
            self.doubt(endpoint)

    def _broke(self, endpoint: Endpoint) -> None:
        """The server ended a connection: it may have been restarted."""
        if self.several and self._open:
            # After a restart a member may overwrite what it does not see yet (agreement.py): no change until a test.
            endpoint.lost(away=False)
            if endpoint.state is State.UP:
                self._become(endpoint, State.APART)
            self.doubt(endpoint)

    async def _looked(self, endpoint: Endpoint) -> tuple[bool, State]:
        """Whether the endpoint is silent, and what it is good for."""
        try:
            return await endpoint.looked(await self._bucket(endpoint.host))
        except NoKeys as error:
            log.error("cannot check store endpoint %s, it stays in use: %s", endpoint.url, error)  # noqa: TRY400
            return False, State.UP

    def _become(self, endpoint: Endpoint, state: State) -> None:
        if endpoint.state is not state:
            began = endpoint.state is State.APART and not endpoint.breaks  # the program, not the endpoint
            endpoint.become(state)
            if began and state is State.UP:
                return
            self._shaken_until = asyncio.get_running_loop().time() + SHAKEN_S
            if not any(one.state is State.UP for one in self.all):
                self._tested.clear()
                self._untold = set(self.all)

    def close(self) -> None:
        """Close the idle connections; those in use close after their request."""
        self._open = False
        self.looks.close()
        for task in (*self._checks.values(), *self._watching):
            task.cancel()
        for one in self.all:
            one.close()

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
        await self._tasks.__aexit__(None, None, None)  # so that the caller gets the error itself, not in a group
