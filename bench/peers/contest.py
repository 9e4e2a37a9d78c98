"""`python -m bench lb`: HAProxy, nginx and ours in turn over the same sink, under the same load, several rounds.

All balancers run all the time and idle while another one is loaded; each case goes A-B-C-A-B-C, so that what else the
machine does falls on all alike, and each round gives a ratio. CPU is the kernel's count for the balancer's process.
"""

import contextlib
import functools
import math
import shutil
import ssl
import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
import uvloop

from . import chart, haproxy, loadgen, meter, nginx, ours, rows, started, trickle

RESULTS: Final = Path(__file__).resolve().parents[1] / "results"
NODES: Final = 3
CONNECTIONS: Final = 16
BODIES: Final = {0: "no body", 20_000: "20 KB", 200_000: "200 KB", 700_000: "700 KB", 5_000_000: "5 MB"}
REQUESTS: Final = {0: 6000, 20_000: 4000, 200_000: 1500, 700_000: 500, 5_000_000: 80}
FRESH_REQUESTS_MAX: Final = 1500
TLS_FRESH_REQUESTS_MAX: Final = 300
LATENCY_REQUESTS_MAX: Final = 300
PERCENTILES: Final = (50, 99)


class Effort(msgspec.Struct, frozen=True, kw_only=True):
    """How much is done: rounds, a part of the requests, slow phones and seconds that they trickle."""

    rounds: int
    part: float
    phones: int
    trickle_s: float


FULL: Final = Effort(rounds=7, part=1.0, phones=2000, trickle_s=8.0)
QUICK: Final = Effort(rounds=2, part=0.1, phones=300, trickle_s=1.0)


class Case(msgspec.Struct, frozen=True):
    """One kind of request."""

    body: int
    fresh: bool
    tls: bool

    @property
    def name(self) -> str:
        """As the table says it."""
        return f"{BODIES[self.body]}, {'new connection' if self.fresh else 'keep-alive'}{', TLS' * self.tls}"

    def load(self, part: float) -> loadgen.Load:
        """For throughput and CPU."""
        most = REQUESTS[self.body]
        if self.fresh:
            most = min(most, TLS_FRESH_REQUESTS_MAX if self.tls else FRESH_REQUESTS_MAX)
        requests = max(CONNECTIONS, int(most * part))
        return loadgen.Load(body=self.body, requests=requests, connections=CONNECTIONS, fresh=self.fresh)

    def single(self, part: float) -> loadgen.Load:
        """For latency: one request at a time, so that only the way itself is timed."""
        requests = max(10, int(min(LATENCY_REQUESTS_MAX, REQUESTS[self.body]) * part))
        return loadgen.Load(body=self.body, requests=requests, connections=1, fresh=self.fresh)


class Balancer(msgspec.Struct, frozen=True):
    """A running one."""

    pid: int
    target: loadgen.Target


Field = dict[str, Balancer]


@contextlib.contextmanager
def field(folder: Path, nodes: list[int], *, tls: bool) -> Iterator[Field]:
    """All balancers started and listening."""
    certificate = started.certificate(folder) if tls else None
    context = ssl.create_default_context(cafile=certificate) if certificate else None
    with contextlib.ExitStack() as stack:
        found: Field = {}
        for name, peer in ((rows.OURS, ours), (rows.RIVAL, haproxy), ("nginx", nginx)):
            port = started.free_port()
            process = stack.enter_context(started.process(peer.command(port, nodes, folder, certificate), port))
            found[name] = Balancer(process.pid, loadgen.Target(port, context))
        yield found


async def compare(case: Case, balancers: Field, sink: int, effort: Effort) -> list[rows.Row]:
    """All rows of one case."""
    readings: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    load, single = case.load(effort.part), case.single(effort.part)
    for balancer in balancers.values():  # so that no round pays for first connections and cold code
        await loadgen.run(balancer.target, case.load(min(0.05, effort.part)))
    for number in range(effort.rounds):
        _, direct = await loadgen.run(loadgen.Target(sink), single)
        turn = list(balancers.items())
        for name, balancer in turn[number % len(turn) :] + turn[: number % len(turn)]:
            before = meter.cpu_ms(balancer.pid)
            seconds, _ = await loadgen.run(balancer.target, load)
            readings[rows.CPU_UNIT][name].append((meter.cpu_ms(balancer.pid) - before) / load.requests)
            readings["requests/s"][name].append(load.requests / seconds)
            _, latencies = await loadgen.run(balancer.target, single)
            for percent in PERCENTILES:
                added = percentile(latencies, percent) - percentile(direct, percent)
                readings[f"added ms, p{percent}"][name].append(added)
    return [
        rows.row(case.name, unit, found, aim=rows.cpu_aim(case.body, tls=case.tls) if unit == rows.CPU_UNIT else None)
        for unit, found in readings.items()
    ]


def percentile(values: list[float], percent: int) -> float:
    """The least value that so many percent do not exceed."""
    return sorted(values)[math.ceil(len(values) * percent / 100) - 1]


async def measure(folder: Path, effort: Effort, *, tls: bool) -> tuple[rows.Row, ...]:
    """Every row."""
    found: list[rows.Row] = []
    nodes = [started.free_port() for _ in range(NODES)]
    sink = [sys.executable, "-m", "bench.peers.sink", *map(str, nodes)]
    with started.process(sink, nodes[-1]):
        for secure in (False, True) if tls else (False,):
            with field(folder, nodes, tls=secure) as balancers:
                for case in (Case(body, fresh, secure) for fresh in (False, True) for body in BODIES):
                    found += await compare(case, balancers, nodes[0], effort)
                    print(f"{case.name}: {summary(found[-2 - len(PERCENTILES)])}", flush=True)
        with field(folder, nodes, tls=False) as balancers:
            memory: dict[str, float] = {}
            for name, balancer in balancers.items():
                rss = functools.partial(meter.rss_kib, balancer.pid)
                seen = await trickle.measure(balancer.target, effort.phones, effort.trickle_s, rss)
                print(f"{name}: {seen.before} KiB, {seen.open} with {effort.phones} slow uploads, then {seen.end}")
                memory[name] = seen.per_upload(effort.phones)
            found.append(rows.memory_row(effort.phones, memory))
    return tuple(found)


def summary(row: rows.Row) -> str:
    """One row in a line."""
    peers = ", ".join(f"{name} {value:.3g}" for name, value in row.peers.items())
    verdict = "" if row.met is None else ", met" if row.met else ", missed"
    return f"{row.unit}: {row.ours:.3g} ({peers}), ratio {row.ratio}, aim {row.aim}{verdict}"


def lacking() -> str:
    """What must be installed first, in one line; empty when all is there."""
    programs = (haproxy.PACKAGE, nginx.PACKAGE, "openssl")
    missing = [name for name in programs if not shutil.which(name, path=started.PATH)]
    return f"on Debian: apt-get install {' '.join(missing)}" if missing else ""


def run(*, quick: bool) -> int:
    """Measure, print, write; the exit code: 0 measured, 2 it could not be."""
    if hint := lacking():
        print(f"bench: {hint}", file=sys.stderr)
        return 2
    tls = ours.speaks_tls()
    if not tls:
        print("no TLS rows: `python -m lb --help` names no --tls-cert")
    with tempfile.TemporaryDirectory(prefix="bench-lb-") as folder:
        found = uvloop.run(measure(Path(folder), QUICK if quick else FULL, tls=tls))
    results = rows.Results(rows.machine() | {"rounds": (QUICK if quick else FULL).rounds}, found)
    print(rows.markdown(results))
    for path in rows.write(results, RESULTS, chart.svg(results)):
        print(f"written to {path}")
    ratios = [row.ratio for row in found if row.unit == rows.CPU_UNIT and row.ratio is not None]
    print(f"CPU against HAProxy, median of all cases: {statistics.median(ratios):.2f}")
    return 0
