"""`python -m bench lb`: compares HAProxy, nginx and our balancer over the same sink, under the same load.

CPU is the kernel's count for the balancer's process. Only some rows have an aim.
"""

import contextlib
import functools
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

from .. import command
from ..files import write
from ..peers import haproxy, loadgen, meter, nginx, ours, started, trickle
from ..rows import OURS, Row, against, limited, markdown, percentile
from . import chart, chunked

NODES: Final = 3
CONNECTIONS: Final = 16
BODIES: Final = {0: "no body", 20_000: "20 KB", 200_000: "200 KB", 700_000: "700 KB", 5_000_000: "5 MB"}
REQUESTS: Final = {0: 6000, 20_000: 4000, 200_000: 1500, 700_000: 500, 5_000_000: 80}
FRESH_REQUESTS_MAX: Final = 1500
TLS_FRESH_REQUESTS_MAX: Final = 300
LATENCY_REQUESTS_MAX: Final = 300
PACED_CONNECTIONS: Final = 64
PACED_REQUESTS: Final = {200_000: 384, 700_000: 192}
PERCENTILES: Final = (50, 99)
# The balancer holds no body: an open upload may cost its buffers and no more.
RSS_KIB_MAX: Final = 64


class Effort(msgspec.Struct, frozen=True, kw_only=True):
    """The size of the bench: rounds, the fraction of the requests, slow phones, and seconds that they send."""

    rounds: int
    part: float
    phones: int
    trickle_s: float


FULL: Final = Effort(rounds=7, part=1.0, phones=2000, trickle_s=8.0)
QUICK: Final = Effort(rounds=2, part=0.1, phones=300, trickle_s=1.0)


class Case(msgspec.Struct, frozen=True):
    """One kind of request that all balancers are compared by."""

    body: int
    fresh: bool
    tls: bool
    paced: bool = False  # sent at the rate of a phone's uplink; only CPU is measured

    @property
    def name(self) -> str:
        """The case's name in the table."""
        ways = "new connection" if self.fresh else "keep-alive"
        return f"{BODIES[self.body]}{' as phones send' * self.paced}, {ways}{', TLS' * self.tls}"

    def load(self, part: float) -> loadgen.Load:
        """The load that measures throughput and CPU."""
        if self.paced:
            requests = max(PACED_CONNECTIONS, int(PACED_REQUESTS[self.body] * part))
            return loadgen.Load(
                body=self.body, requests=requests, connections=PACED_CONNECTIONS, fresh=self.fresh, paced=True
            )
        most = REQUESTS[self.body]
        if self.fresh:
            most = min(most, TLS_FRESH_REQUESTS_MAX if self.tls else FRESH_REQUESTS_MAX)
        requests = max(CONNECTIONS, int(most * part))
        return loadgen.Load(body=self.body, requests=requests, connections=CONNECTIONS, fresh=self.fresh)

    def single(self, part: float) -> loadgen.Load:
        """The load that measures latency: one request at a time, so that no queueing is timed."""
        requests = max(10, int(min(LATENCY_REQUESTS_MAX, REQUESTS[self.body]) * part))
        return loadgen.Load(body=self.body, requests=requests, connections=1, fresh=self.fresh)


CASES: Final = (
    *(Case(body, fresh, tls) for tls in (False, True) for fresh in (False, True) for body in BODIES),
    *(Case(200_000, fresh, tls=False, paced=True) for fresh in (False, True)),
    # What phones do after the notification: a new TLS connection and one body, piece by piece.
    *(Case(body, fresh=True, tls=True, paced=True) for body in PACED_REQUESTS),
)


class Balancer(msgspec.Struct, frozen=True):
    """A running balancer: its main process, and where the load generator sends requests."""

    pid: int
    target: loadgen.Target


Field = dict[str, Balancer]


@contextlib.contextmanager
def field(folder: Path, nodes: list[int], *, tls: bool) -> Iterator[Field]:
    """Start all balancers; yields them when all are listening."""
    certificate = started.certificate(folder) if tls else None
    context = ssl.create_default_context(cafile=certificate) if certificate else None
    with contextlib.ExitStack() as stack:
        # All run all the time, and are idle while another one is loaded.
        found: Field = {}
        for name, peer in ((OURS, ours), (chart.RIVAL, haproxy), ("nginx", nginx)):
            port = started.free_port()
            process = stack.enter_context(started.process(peer.command(port, nodes, folder, certificate), port))
            found[name] = Balancer(process.pid, loadgen.Target(port, context))
        yield found


async def compare(case: Case, balancers: Field, sink: int, effort: Effort) -> list[Row]:
    """Measure all rows of one case."""
    readings: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    aim = cpu_aim(case)
    load, single = case.load(effort.part), None if case.paced else case.single(effort.part)
    for balancer in balancers.values():  # warm-up, so that no round includes first connections and cold code
        await loadgen.run(balancer.target, case.load(min(0.05, effort.part)))
    for number in range(effort.rounds):
        # Without a balancer, so that only what a balancer adds is compared.
        direct = sorted((await loadgen.run(loadgen.Target(sink), single))[1]) if single else []
        # A-B-C, B-C-A, …: other load on the machine affects all balancers alike, and each round gives a ratio.
        turn = list(balancers.items())
        for name, balancer in turn[number % len(turn) :] + turn[: number % len(turn)]:
            before = meter.cpu_ms(balancer.pid)
            seconds, _ = await loadgen.run(balancer.target, load)
            readings[chart.CPU_UNIT][name].append((meter.cpu_ms(balancer.pid) - before) / load.requests)
            if single is None:
                continue
            readings["requests/s"][name].append(load.requests / seconds)
            latencies = sorted((await loadgen.run(balancer.target, single))[1])
            for percent in PERCENTILES:
                added = percentile(latencies, percent) - percentile(direct, percent)
                readings[f"added ms, p{percent}"][name].append(added)
    return [
        against(case.name, unit, found, rival=chart.RIVAL, at_most=aim if unit == chart.CPU_UNIT else None)
        for unit, found in readings.items()
    ]


def cpu_aim(case: Case) -> float:
    """The highest acceptable ratio to HAProxy's CPU."""
    if case.paced:
        # The aims are those of the balancer's specification.
        return 0.9
    if case.tls:
        return 1.3
    return 1.5 if case.body == 0 else 1.0 if case.body < 200_000 else 0.9


async def measure(folder: Path, effort: Effort, tell: command.Tell) -> None:
    """Measure every row and tell each as soon as it is known."""
    tls = ours.speaks_tls()
    if not tls:
        print("no TLS rows: `python -m lb --help` names no --tls-cert")
    nodes = [started.free_port() for _ in range(NODES)]
    sink = [sys.executable, "-m", "bench.peers.sink", *map(str, nodes)]
    with started.process(sink, nodes[-1]):
        for secure in (False, True) if tls else (False,):
            with field(folder, nodes, tls=secure) as balancers:
                for case in CASES:
                    if case.tls == secure:
                        for row in await compare(case, balancers, nodes[0], effort):
                            tell(row)
                for chunks in () if secure else chunked.CASES:
                    tell(await chunked.compare(chunks, balancers, rounds=effort.rounds, part=effort.part))
        with field(folder, nodes, tls=False) as balancers:
            memory: dict[str, float] = {}
            for name, balancer in balancers.items():
                rss = functools.partial(meter.rss_kib, balancer.pid)
                seen = await trickle.measure(balancer.target, effort.phones, effort.trickle_s, rss)
                print(f"{name}: {seen.before} KiB, {seen.open} with {effort.phones} slow uploads, then {seen.end}")
                memory[name] = seen.per_upload(effort.phones)
            tell(limited(f"{effort.phones} slow uploads", "KiB RSS per open upload", memory, limit=RSS_KIB_MAX))


def lacking() -> str:
    """What must be installed first, in one line; empty when nothing is missing."""
    programs = (haproxy.PACKAGE, nginx.PACKAGE, "openssl")
    missing = [name for name in programs if not shutil.which(name, path=started.PATH)]
    return f"on Debian: apt-get install {' '.join(missing)}" if missing else ""


def run(out: Path, *, quick: bool) -> int:
    """Measure, print, write the table as JSON, as Markdown and as a chart; return the exit code."""
    effort = QUICK if quick else FULL
    found: list[Row] = []

    def told(tell: command.Tell) -> None:
        def both(row: Row) -> None:
            found.append(row)
            tell(row)

        if hint := lacking():
            raise started.StartError(hint)
        with tempfile.TemporaryDirectory(prefix="bench-lb-") as folder:
            uvloop.run(measure(Path(folder), effort, both))

    code = command.run(out, told, rounds=effort.rounds)
    if code == 0:
        write(out.with_suffix(".md"), markdown(found).encode())
        write(out.with_suffix(".svg"), chart.svg(found).encode())
        ratios = [row.ratio for row in found if row.unit == chart.CPU_UNIT and row.ratio is not None]
        print(f"CPU against HAProxy, median of all cases: {statistics.median(ratios):.2f}")
    return code
