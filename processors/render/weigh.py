"""`python -m processors.render.weigh`: the CPU cost of a pair of each photo; reads paths, prints a line of JSON each.

For `make bench-worst`. Each photo is rendered as in a render process, refusals included, but without the budget, which
is printed beside the cost. A pair that takes `--most` CPU seconds ends this process by SIGPROF, as a budget would.
"""

import argparse
import signal
import sys
import time
from pathlib import Path

import msgspec

from storage.photo import costs
from storage.photo.formats import DECODABLE, DECODE_BYTES_MAX
from storage.photo.judge import Refused, judged

from .. import memory
from .decoding import Undecodable
from .images import render
from .renderer import FLOOR_S, HEADROOM


class Weight(msgspec.Struct, frozen=True):
    """CPU seconds of a pair, the reason of a refusal (else empty), and the budget of a render process for it."""

    cpu_s: float
    refused: str
    budget_s: float


def budget_s(photo: bytes) -> float:
    """The CPU seconds that a render process would allow for a pair of this photo."""
    try:
        accepted = judged(memoryview(photo), DECODABLE)
    except Refused:
        return FLOOR_S
    return FLOOR_S + 2 * HEADROOM * costs.cpu_s(accepted.format, accepted.data, accepted.width, accepted.height)


def weighed(photo: bytes, most_s: float) -> Weight:
    """Render a pair of the photo and measure its CPU seconds; SIGPROF ends the process after `most_s`."""
    budget, refused = budget_s(photo), ""
    signal.setitimer(signal.ITIMER_PROF, most_s)
    began = time.process_time()
    try:
        render(photo, photo)
    except Undecodable as error:
        refused = error.reason
    took = time.process_time() - began
    signal.setitimer(signal.ITIMER_PROF, 0)
    return Weight(took, refused, budget)


def main(arguments: list[str] | None = None) -> int:
    """Measure each photo named on standard input."""
    parser = argparse.ArgumentParser(prog="python -m processors.render.weigh", description=__doc__, allow_abbrev=False)
    parser.add_argument("--most", type=float, default=60.0, help="CPU seconds of a pair at most (%(default)s)")
    given = parser.parse_args(arguments)
    memory.bound(DECODE_BYTES_MAX)
    for line in sys.stdin:
        weight = weighed(Path(line.rstrip("\n")).read_bytes(), given.most)
        print(msgspec.json.encode(weight).decode(), flush=True)  # noqa: T201 - the answer
    return 0


if __name__ == "__main__":
    sys.exit(main())
