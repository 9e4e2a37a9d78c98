"""What a body in chunks costs a balancer, as a ratio to the same body with a Content-Length."""

import statistics
from collections import defaultdict
from collections.abc import Mapping
from typing import Final, Protocol

import msgspec

from ..peers import loadgen, meter
from ..rows import OURS, Row, judged, medians

CONNECTIONS: Final = 8
BODIES: Final = {400_000: "2 x 200 KB", 2_000_000: "2 x 1 MB"}
REQUESTS: Final = {400_000: 750, 2_000_000: 150}
# As clients write them: Java 4 KiB, OkHttp 8, URLSession and curl 16, Go 32, Node.js and aiohttp 64; and 1 KiB, as no
# client does by itself.
KIB: Final = (1, 4, 8, 16, 32, 64)
AIM: Final = 1.1
SMALL_AIM: Final = 2.0  # Of chunks of 1 KiB: there is a line to check for every packet.
UNIT: Final = "CPU ms per chunked request"


class Chunks(msgspec.Struct, frozen=True):
    """One body, in chunks of so many KiB."""

    body: int
    kib: int

    @property
    def name(self) -> str:
        """The case's name in the table."""
        return f"{BODIES[self.body]} in chunks of {self.kib} KiB (ratio to Content-Length)"

    @property
    def aim(self) -> float:
        """The highest acceptable ratio."""
        return AIM if self.kib > 1 else SMALL_AIM

    def load(self, part: float, *, chunked: bool) -> loadgen.Load:
        """The load of one framing; at least two requests on each connection."""
        requests = max(2 * CONNECTIONS, int(REQUESTS[self.body] * part))
        chunk = self.kib * 1024 if chunked else 0
        # All bytes lie ready in the socket, so the framing is the largest part of the cost that it can be.
        return loadgen.Load(body=self.body, requests=requests, connections=CONNECTIONS, fresh=False, chunk=chunk)


CASES: Final = tuple(Chunks(body, kib) for body in BODIES for kib in KIB)


class Balancer(Protocol):
    """A running balancer: its main process, and where requests go."""

    @property
    def pid(self) -> int:
        """Of the main process."""

    @property
    def target(self) -> loadgen.Target:
        """Where the load generator sends requests."""


async def compare(case: Chunks, balancers: Mapping[str, Balancer], *, rounds: int, part: float) -> Row:
    """Measure one case: the cost of a chunked request at each balancer, and our ratio, the median of the rounds'."""
    costs: dict[str, list[float]] = defaultdict(list)
    ratios: list[float] = []
    for balancer in balancers.values():
        for chunked in (False, True):  # warm-up
            await loadgen.run(balancer.target, case.load(0, chunked=chunked))
    for number in range(rounds):
        for name, balancer in balancers.items():
            cost = {}
            # The two framings take turns, so that neither always comes second.
            for chunked in (False, True) if number % 2 else (True, False):
                load, before = case.load(part, chunked=chunked), meter.cpu_ms(balancer.pid)
                await loadgen.run(balancer.target, load)
                cost[chunked] = (meter.cpu_ms(balancer.pid) - before) / load.requests
            costs[name].append(cost[True])
            if name == OURS and cost[False]:
                ratios.append(cost[True] / cost[False])
    ratio = statistics.median(ratios) if ratios else None
    return judged(case.name, UNIT, medians(costs), ratio=ratio, at_most=case.aim)
