"""`python -m bench.contests.simulation`: how long a region's burst takes to simulate, and how much memory.

Ten million arrivals through 64 balancers, 1,000 nodes and 3,000 workers, on one core: at most two minutes and 2 GiB.
The costs are round numbers, because the bench is of the simulator. Machine code is made before, once for each version
of the code. Seconds are CPU seconds of this process, which has one thread that computes.
"""

import resource
import sys
import time
from typing import Final

import numpy as np

from .. import command
from ..capacity.costs import Costs, Line, Stores, Tier
from ..config import Config
from ..rows import judged, limited, machine
from ..simulation.arrivals import OVERHEAD_BYTES, Arrivals, send_s
from ..simulation.figures import figures_of
from ..simulation.fleet import Fleet, Machines
from ..simulation.run import Play
from ..traces.synthesis import UPLINKS

ARRIVALS: Final = 10_000_000
QUICK: Final = 500_000
PUSH_S: Final = 300.0  # a push service's quota stretches the notification
WINDOW_S: Final = 120.0
SECONDS_MAX: Final = 120
MIB_MAX: Final = 2048


def arrivals(count: int, seed: int = 1) -> Arrivals:
    """So many phones: a stretched push, log-normal reactions, the bundled classes of uplinks, photos of 180 KB."""
    rng = np.random.default_rng(seed)
    arrives = rng.uniform(0.0, PUSH_S, count)
    arrives += rng.lognormal(np.log(18.0), 0.9, count).clip(max=600.0)
    arrives += rng.uniform(4.0, 12.0, count)
    arrives.sort()
    sizes = (2 * rng.lognormal(np.log(180_000), 0.4, count).clip(40_000, 2_000_000)).astype(np.int32) + OVERHEAD_BYTES
    rates = np.array([uplink.bytes_per_s for uplink in UPLINKS], np.float64)
    uplinks = rng.choice(rates, count, p=[uplink.share for uplink in UPLINKS])
    return Arrivals(arrives, sizes.astype(np.int32), send_s(sizes, uplinks))


def region(scale: float = 1.0) -> Fleet:
    """The fleet; a part of it for a part of the arrivals."""

    def count(most: int) -> int:
        return max(1, round(most * scale))

    machines = {
        "front": Machines(count=count(64), cores=2, lb=1),
        "node": Machines(count=count(1000), cores=2, node=1),
        "worker": Machines(count=count(750), cores=4, worker=4),
        "redis": Machines(count=count(8), cores=2, redis=1),
    }
    return Fleet(machines=machines, store="minio")


def costs() -> Costs:
    """Round numbers of the size of what is measured, each with a spread."""
    spread = (0.6, 0.8, 0.9, 1.0, 1.1, 1.3, 2.0)

    def tier(fixed_ms: float, mb_ms: float = 0.0) -> Tier:
        return Tier(upload=Line(fixed_ms=fixed_ms, mb_ms=mb_ms, spread=spread), process_mib=60, start_s=2.0)

    worker = Tier(
        upload=Line(fixed_ms=0.0), drain=Line(fixed_ms=35, mb_ms=60, spread=spread), process_mib=90, start_s=2.0
    )
    stores = Stores(
        node=tier(2.0, 5.0), worker=worker, requests_per_pair=3, put_ms=(4, 6, 8, 12, 40), render_s=(0.05, 0.07, 0.2)
    )
    redis = Tier(upload=Line(fixed_ms=0.03), drain=Line(fixed_ms=0.05), process_mib=50, start_s=1.0)
    # Round numbers, because this bench is of the simulator and not of the programs.
    return Costs(
        measured_at="2026-11-30T00:00:00Z",
        machine=machine(),
        code="none",
        lb=tier(0.5, 0.5),
        lb_tls=tier(0.9, 0.6),
        redis=redis,
        stores={"minio": stores},
        media_share=0.5,
        heartbeat_cores=0.0,
        redis_pair_kib=3.0,
    )


def measured(count: int) -> tuple[float, float, float, dict[str, float]]:
    """CPU seconds to build and to play, MiB at the most, and the figures."""
    # CPU seconds of this process, which has one thread that computes: other load on the machine does not count.
    began = time.process_time()
    play = Play(region(count / ARRIVALS), costs(), arrivals(count), WINDOW_S, Config(), 1)
    built = time.process_time()
    result = play.play()
    played = time.process_time()
    mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return built - began, played - built, mib, figures_of(result)


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, write; return the exit code."""
    given = command.given("contests.simulation", __doc__, "simulate.json", arguments)

    def measure(tell: command.Tell) -> None:
        began = time.process_time()
        # Machine code is made before the measurement, once for each version of the code.
        Play(region(0.01), costs(), arrivals(1000), WINDOW_S, Config(), 1).play()
        tell(judged("machine code made or loaded", "CPU s", time.process_time() - began))
        count = QUICK if given.quick else ARRIVALS
        build_s, play_s, mib, figures = measured(count)
        tell(judged("arrivals", "pairs", count))
        tell(judged("ring, arrivals and state", "CPU s", build_s))
        tell(judged("the burst", "CPU s", play_s))
        tell(limited("build and burst", "s CPU", build_s + play_s, limit=SECONDS_MAX))
        tell(limited("most memory", "MiB", mib, limit=MIB_MAX))
        for name in ("accepted", "shed", "queue_peak", "queue_empty_s", "ready_p90_ms"):
            tell(judged(f"simulated: {name}", "", figures[name]))

    return command.run(given.out, measure)


if __name__ == "__main__":
    sys.exit(main())
