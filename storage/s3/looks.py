"""Whether all members of a store were there, with their drives, from before a change was sent until after its answer.

MinIO compares the condition of a PUT with the drives that it sees at that time (`hidden.py`), and its answer does not
tell which these were. So there is a look before the change and one that begins after the answer, over the same
connections. All changes that wait share the next look. A look is a GET of `/minio/health/cluster?maintenance=true`,
and a HEAD of the canary (`canary.py`).
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Final

from .canary import Canary
from .endpoint import CHECK_S, Endpoint, State
from .wire import Wire

GAP_S: Final = 0.05  # At least, from the beginning of a look to that of the next one.
STEADY_S: Final = 60.0  # before the canary is made; members find each other within half a minute
LAG_S: Final = 3.0  # MinIO's health and listings knew of drives that failed after 2.5 s at most.


class Looks:
    """Looks at these members, as tasks of this group; `doubted`: one may be away. `missing_at`: last, a drive was.

    `canary`: whether there is one that was found fit.
    """

    def __init__(
        self,
        endpoints: Sequence[Endpoint],
        tasks: asyncio.TaskGroup,
        canary: Canary,
        doubted: Callable[[Endpoint], None],
    ) -> None:
        self._endpoints, self._tasks, self._doubted = endpoints, tasks, doubted
        self.missing_at = self._told_at = float("-inf")
        self.canary = self._fails = self._sought = False
        self._canary = canary
        # One for each member. It ends with the member's process, so the same one proves that no member was restarted.
        self._wires: dict[Endpoint, Wire] = {}
        self._heard: dict[Endpoint, int] = {}  # what each was answered about the canary, 0 for nothing
        self._looking = asyncio.Lock()
        self._next: asyncio.Task[None] | None = None
        self._began_at = float("-inf")
        self._number = 0  # of the present row of looks that found the same connections, and nothing missing
        self._none_missing = False

    async def before(self) -> int:
        """What `since` needs, to be asked for before a change; 0 if not all members are there."""
        if self._all_up and not self._open:
            await self.watch(make=False)
        return self._number if self._all_up and self._none_missing and self._open else 0

    async def all_since(self, number: int) -> bool:
        """Whether all have been there since `before` returned this, by a look that begins now or later."""
        if not number or number != self._number or not self._all_up or not self._open:
            return False
        await self.look()
        return number == self._number

    async def told(self) -> None:
        """Look, and if drives have just failed, wait until MinIO's listings tell what the other drives have."""
        await (self.look() if self._sought else self.watch(make=False))
        await asyncio.sleep(max(0.0, self._told_at - asyncio.get_running_loop().time()))

    async def watch(self, *, make: bool) -> None:
        """Look, and look for the canary if there is none; `make`: it may be made, no member is in doubt."""
        await self.look()
        if not self.canary:
            steady_s = asyncio.get_running_loop().time() - max(one.changed_at for one in self._endpoints)
            with contextlib.suppress(OSError):
                self.canary = await self._canary.fit(make=make and self._none_missing and steady_s > STEADY_S)
                self._sought = True
            if self.canary:
                await self.look()

    async def look(self) -> None:
        """Wait for the next look to begin, and for its end."""
        if self._next is None:
            self._next = self._tasks.create_task(self._look(), name="look at the members")
        await asyncio.wait([self._next])  # ends also when `close` cancels the look, and ends with it no other waiter

    def close(self) -> None:
        """Close the connections, which ends a look that is in progress; who waits for one learns nothing by it."""
        self._number += 1
        for wire in self._wires.values():
            wire.close()
        if self._next is not None:
            self._next.cancel()

    @property
    def _all_up(self) -> bool:
        return all(one.state is State.UP for one in self._endpoints)

    @property
    def _open(self) -> bool:
        return len(self._wires) == len(self._endpoints) and all(wire.usable for wire in self._wires.values())

    async def _look(self) -> None:
        loop = asyncio.get_running_loop()
        async with self._looking:
            await asyncio.sleep(max(0.0, self._began_at + GAP_S - loop.time()))
            self._next, self._began_at = None, loop.time()
            kept = dict(self._wires)
            found = await asyncio.gather(*map(self._answered, self._endpoints))
            self._none_missing = all(found) and self._sung(loop.time())
            # Compared by the connections themselves: one may end after this look begins and before it asks there.
            if kept != self._wires or not self._open or not self._none_missing:
                self._number += 1

    def _sung(self, now: float) -> bool:
        """Whether the canary is not missed, nor was so shortly before."""
        heard = set(self._heard.values()) - {0}
        fails = self.canary and bool(heard) and heard != {200}
        if fails:
            self.missing_at = now
            if not self._fails:
                self._told_at = now + LAG_S
        # MinIO removes what it finds on too few drives if the others say that they have nothing.
        self.canary = self.canary and 404 not in heard
        self._fails = fails and self.canary
        return now >= self._told_at and not fails

    async def _answered(self, endpoint: Endpoint) -> bool:
        """Whether this member answers, and misses no drive as far as it tells."""
        self._heard[endpoint] = 0
        if endpoint.state is State.DOWN:
            return False
        wire = self._wires.get(endpoint)
        try:
            async with asyncio.timeout(CHECK_S):
                if wire is None or not wire.usable:
                    wire = self._wires[endpoint] = await endpoint.wires.connected()
                wire.used_at = asyncio.get_running_loop().time()
                said = await wire.ask([endpoint.maintenance], CHECK_S, head_only=False)
                if self.canary and wire.usable:
                    head = await self._canary.head(endpoint.host)
                    self._heard[endpoint] = (await wire.ask([head], CHECK_S, head_only=True)).status
        except OSError:
            self._doubted(endpoint)
            return False
        # 412: the cluster could not write without this member's drives; in small sets also while a drive is missing
        # elsewhere, from one or two seconds after it failed.
        if said.status != 200:
            self.missing_at = asyncio.get_running_loop().time()
        return said.status == 200
