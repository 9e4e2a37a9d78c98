"""`python -m bench.contests.predictions`: three bursts on this machine, predicted and sealed, then run and scored.

The bundled trace, a calm one, and twice what the store takes: MinIO behind a proxy of limited bytes a second. Each is
run so many times on a fresh stack; every run has its own prediction, sealed before it, and is appended to
`bench/results/predictions.json`. Needs a quiet machine and `bench/results/costs.json` of this machine (`make bench`).
The table has the errors of all runs; a figure's row is the worst of its runs.
"""

import asyncio
import contextlib
import sys
import tempfile
import urllib.parse
from collections import defaultdict
from collections.abc import AsyncIterator, Collection
from pathlib import Path
from typing import Final

import msgspec

from .. import command
from ..errors import BenchError
from ..peers import backing
from ..peers.deployed import deployed, read
from ..peers.started import ROOT
from ..prediction.score import AIMS, Scored
from ..rows import judged as row
from ..rows import machine
from ..simulation.fleet import Fleet, Machines, Phones
from ..throttle import Throttle

RUNS: Final = 3
TRIES: Final = 3  # of a run that is void, because the machine was too busy to send this burst
SEEDS: Final = 30
# CPU of the replay itself for a pair, on the same cores: `getrusage` of a replay of the bundled trace.
# `list_ms`: nearly all of it in nodes; of 30 listings of 400 posts on an idle stack.
PHONES: Final = Phones(fixed_ms=2.0, mb_ms=2.0, idle_cores=0.06, list_ms=0.22)
# Half of what the burst brings: MinIO behind a proxy of limited bytes a second.
LINK_BYTES_S: Final = 2_000_000.0
CALM: Final = "--posters 700 --median-s 30 --sigma 0.7 --capture-s 8 --fanout-s 30 --photo-bytes 90000 --span-s 120"
OVERLOAD: Final = "--posters 900 --median-s 10 --sigma 0.5 --capture-s 4 --fanout-s 20 --photo-bytes 90000 --span-s 50"


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One burst: options of `bench synth` (None: the bundled trace), and the limit of the way to the store."""

    name: str
    synth: str | None = None
    link_bytes_s: float | None = None

    def fleet(self) -> Fleet:
        """This machine as `deploy up` uses it."""
        cores = int(machine()["cpus"])
        kind = "file" if self.link_bytes_s is None else "minio"
        here = Machines(
            cores=cores, lb=2, node=3, worker=cores, redis=1, store=int(kind == "minio"), phones=True,
            memory_gib=float(machine()["memory_mib"]) / 1024,
        )  # fmt: skip
        return Fleet(machines={"here": here}, store=kind, store_bytes_s=self.link_bytes_s, phones=PHONES)


CASES: Final = (
    Case(name="bundled"),
    Case(name="calm", synth=CALM),
    Case(name="overload", synth=OVERLOAD, link_bytes_s=LINK_BYTES_S),
)


class _Report(msgspec.Struct):
    prediction: Scored


async def bench(*words: str, may_be: Collection[int] = (0,)) -> int:
    """Run a verb of bench; its exit code, or BenchError when it is none of these."""
    running = await asyncio.create_subprocess_exec(sys.executable, "-m", "bench", *words, cwd=ROOT)
    code = await running.wait()
    if code not in may_be:
        raise BenchError(f"bench {' '.join(words)}: exit {code}")
    return code


@contextlib.asynccontextmanager
async def store_of(case: Case, folder: Path) -> AsyncIterator[str]:
    """The address of the case's store."""
    if case.link_bytes_s is None:
        yield "file"
        return
    with backing.minio(folder) as (url, _):
        port = urllib.parse.urlsplit(url).port or 0
        async with Throttle(("127.0.0.1", port), case.link_bytes_s).listening() as throttle:
            yield f"s3://snapsurge?endpoint=http://127.0.0.1:{throttle.port}&region={backing.REGION}"


async def one_run(case: Case, trace: Path, folder: Path) -> Scored:
    """Predict, seal, run, score; a void run is repeated."""
    for number in range(TRIES):
        room = folder / str(number)
        room.mkdir(parents=True)
        # A fresh stack and a prediction of its own for every run, sealed before it.
        if (found := await one_try(case, trace, room)) is not None:
            return found
    raise BenchError(f"{case.name}: void {TRIES} times: the machine is too busy to send this burst")


async def one_try(case: Case, trace: Path, folder: Path) -> Scored | None:
    """The score of one run; None when it is void."""
    files = {name: folder / f"{name}.json" for name in ("fleet", "sealed", "report")}
    files["fleet"].write_bytes(msgspec.json.encode(case.fleet()))
    words = ("--fleet", str(files["fleet"]), "--seeds", str(SEEDS), "--seal", str(files["sealed"]))
    await bench("simulate", str(trace), *words)
    environment = [*backing.credentials(), "AWS_EC2_METADATA_DISABLED=true"]
    async with (
        store_of(case, folder / "store") as store,
        deployed(folder / "state", "--store", store, environment=environment) as file,
    ):
        targets = [word for one in read(file).balancers for word in ("--target", one.url)]
        more = ("--stack", str(file), "--prediction", str(files["sealed"]), "--report", str(files["report"]))
        if await bench("replay", str(trace), *targets, *more, may_be=(0, 1, 3)) == 3:
            return None
    return msgspec.json.decode(files["report"].read_bytes(), type=_Report).prediction


async def all_runs(folder: Path, runs: int, tell: command.Tell) -> None:
    """Every case so many times; its rows when it is done."""
    for case in CASES:
        trace = ROOT / "bench" / "traces" / "demo-2000.jsonl.gz"
        if case.synth is not None:
            trace = folder / f"{case.name}.jsonl.gz"
            await bench("synth", *case.synth.split(), "--seed", "14", "--window-s", "60", str(trace))
        errors: dict[str, list[float]] = defaultdict(list)
        for number in range(runs):
            scored = await one_run(case, trace, folder / f"{case.name}-{number}")
            for name, one in scored.errors.items():
                if one.aim is not None:
                    errors[name].append(one.error)
        for name, found in errors.items():
            tell(
                row(
                    f"{case.name}: error of {name}",
                    "of the measured",
                    # The worst of the runs, not their mean: a prediction that is sometimes wrong is of no use before a
                    # moment.
                    max(found),
                    ratio=max(found),
                    at_most=AIMS[name][0],
                )
            )


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, write; return the exit code. `--quick` runs each burst once."""
    given = command.given("contests.predictions", __doc__, "predicted.json", arguments)

    def measure(tell: command.Tell) -> None:
        with tempfile.TemporaryDirectory(prefix="snapsurge-predictions-") as folder:
            asyncio.run(all_runs(Path(folder), 1 if given.quick else RUNS, tell))

    return command.run(given.out, measure)


if __name__ == "__main__":
    sys.exit(main())
