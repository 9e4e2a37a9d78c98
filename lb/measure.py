"""`python -m lb.measure [--quick]`: measures the ring and prints JSON: shares, moved keys, CPU times, loop stalls.

Each row is for a number of nodes of equal weight. `share_max`, `survivors_max` and `moved_max` are largest over mean:
of all shares, of the shares after one node left, and of that node's keys over the remaining nodes. `moved_wrongly` are
keys of other nodes that moved. `ketama_160` is the largest share of a ring with 160 points for each node, as nginx and
libketama place them. Times are the least CPU time of several rounds. A stall is the longest delay of an event loop that
sleeps a millisecond: with nothing else to do, while a thread rebuilds the ring after a node left, and while a thread
builds it from nothing. It is the least of several rounds, because other programs on the machine stall a loop too.
"""

import argparse
import asyncio
import sys
import time
from collections import Counter
from collections.abc import Callable
from hashlib import md5
from itertools import pairwise

import msgspec

from .config import Config
from .placement.fleet import Fleet
from .placement.health import Thresholds
from .placement.node import Member
from .placement.parameters import Placement
from .placement.policy import Bound
from .placement.ring import Ring
from .server import SWITCH_S

NODES = (3, 5, 10, 50, 200)
KEYS = [b"user-%d" % number for number in range(10_000)]


class Row(msgspec.Struct, kw_only=True):
    """The figures for one number of nodes."""

    nodes: int
    share_max: float
    ketama_160: float
    survivors_max: float
    moved: int
    moved_wrongly: int
    moved_max: float
    pick_us: float
    place_us: float
    build_ms: float
    join_ms: float
    leave_ms: float
    stall_ms: float
    stall_build_ms: float
    stall_idle_ms: float


def members_of(count: int) -> list[tuple[str, int]]:
    """`count` nodes of weight one."""
    return [(f"node-{number}", 1) for number in range(count)]


def best_s(rounds: int, job: Callable[[], object]) -> float:
    """The least CPU time of several rounds."""
    found = []
    for _ in range(rounds):
        begun = time.process_time()
        job()
        found.append(time.process_time() - begun)
    return min(found)


def ketama_max(count: int) -> float:
    """Largest share over mean of a ring with 160 points a node."""
    points = sorted(
        (int.from_bytes(md5(f"{name}-{point}".encode()).digest()[:8], "big"), name)  # noqa: S324 - as ketama does
        for name, _ in members_of(count)
        for point in range(160)
    )
    shares: Counter[str] = Counter()
    for (before, _), (after, owner) in pairwise(points):
        shares[owner] += after - before
    shares[points[0][1]] += points[0][0] + 2**64 - points[-1][0]
    return max(shares.values()) * count / 2**64


async def stall_ms(work: Callable[[], object]) -> float:
    """The longest delay of the loop while a thread does the work."""
    waits: list[float] = []

    async def tick() -> None:
        loop = asyncio.get_running_loop()
        while True:
            begun = loop.time()
            await asyncio.sleep(0.001)
            waits.append(loop.time() - begun - 0.001)

    async with asyncio.TaskGroup() as tasks:
        ticking = tasks.create_task(tick())
        await asyncio.sleep(0.01)
        await asyncio.to_thread(work)
        await asyncio.sleep(0.01)
        ticking.cancel()
    return max(waits) * 1000


def least_stall_ms(rounds: int, work: Callable[[], object]) -> float:
    """The least of several rounds."""
    return min(asyncio.run(stall_ms(work)) for _ in range(rounds))


def fleet_of(count: int, slots: int) -> Fleet:
    """An idle fleet with the default settings."""
    bound, thresholds = Bound(125, Config().bound_floor_bytes), Thresholds()
    fleet = Fleet(
        Placement(policy="ring", seed=b"seed", slots=slots, bound=bound, thresholds=thresholds, checked=False)
    )
    fleet.set_members((Member(id=name, address="h:1") for name, _ in members_of(count)), 0.0)
    return fleet


def measure(count: int, *, rounds: int, slots: int) -> Row:
    """All figures for `count` nodes."""
    members = members_of(count)
    ring = Ring(members, seed=b"seed", slots=slots)
    less = Ring(members[1:], seed=b"seed", slots=slots, before=ring)
    fleet = fleet_of(count, slots)
    moved = ring.moved(less)
    right = [number for (owner, _), number in moved.items() if owner == members[0][0]]
    return Row(
        nodes=count,
        share_max=max(ring.shares.values()) * count,
        ketama_160=ketama_max(count),
        survivors_max=max(less.shares.values()) * (count - 1),
        moved=sum(right),
        moved_wrongly=sum(moved.values()) - sum(right),
        moved_max=max(right) * (count - 1) / sum(right),
        pick_us=best_s(5 * rounds, lambda: [ring.first(ring.digest(key)) for key in KEYS]) / len(KEYS) * 1e6,
        place_us=best_s(5 * rounds, lambda: [fleet.place(key) for key in KEYS]) / len(KEYS) * 1e6,
        build_ms=best_s(1, lambda: Ring(members, seed=b"seed", slots=slots)) * 1000,
        join_ms=best_s(rounds, lambda: Ring(members, seed=b"seed", slots=slots, before=less)) * 1000,
        leave_ms=best_s(rounds, lambda: Ring(members[1:], seed=b"seed", slots=slots, before=ring)) * 1000,
        stall_ms=least_stall_ms(3 * rounds, lambda: Ring(members[1:], seed=b"seed", slots=slots, before=ring)),
        stall_build_ms=least_stall_ms(rounds, lambda: Ring(members, seed=b"seed", slots=slots)),
        stall_idle_ms=least_stall_ms(rounds, lambda: time.sleep(1.0)),
    )


def main(arguments: list[str] | None = None) -> int:
    """Measure for each number of nodes and print the rows as JSON."""
    parser = argparse.ArgumentParser(prog="python -m lb.measure", description=__doc__, allow_abbrev=False)
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    parser.add_argument("--slots", type=int, default=Config().ring_slots, help="rows of the table (%(default)s)")
    parser.add_argument("--nodes", type=int, nargs="+", default=NODES, help="numbers of nodes (%(default)s)")
    given = parser.parse_args(arguments)
    sys.setswitchinterval(SWITCH_S)
    rows = [measure(count, rounds=1 if given.quick else 3, slots=given.slots) for count in given.nodes]
    print(msgspec.json.format(msgspec.json.encode({"slots": given.slots, "rows": rows})).decode())  # noqa: T201
    return 0


if __name__ == "__main__":
    main()
