"""`python -m processors.render.weigh`: what a pair of each photo costs; paths on standard input, a line of JSON each.

For `make bench-worst`: each photo goes through what a render process does, its refusals included, without the budget,
which is told beside it. A pair that takes `--most` CPU seconds ends this process by SIGPROF, as a budget would.
"""

import argparse
import io
import signal
import sys
import time
from pathlib import Path

import msgspec
from PIL import Image

from storage.photo import costs
from storage.photo.formats import DECODE_BYTES_MAX, format_of

from .. import memory
from .decoding import PHOTO_ERRORS, Undecodable
from .images import render
from .renderer import FLOOR_S, HEADROOM


class Weight(msgspec.Struct, frozen=True):
    """CPU seconds of a pair, why it was refused or empty, and the budget that a render process would have."""

    cpu_s: float
    refused: str
    budget_s: float


def budget_s(photo: bytes) -> float:
    """The budget of a pair of this photo."""
    kind = format_of(photo)
    try:
        with Image.open(io.BytesIO(photo)) as image:
            size = image.size
    except PHOTO_ERRORS:
        return FLOOR_S
    if kind is None:
        return FLOOR_S
    return FLOOR_S + 2 * HEADROOM * costs.cpu_s(kind, memoryview(photo), *size)


def weighed(photo: bytes, most_s: float) -> Weight:
    """Render a pair of it."""
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
    """Until standard input ends."""
    parser = argparse.ArgumentParser(prog="python -m processors.render.weigh", description=__doc__)
    parser.add_argument("--most", type=float, default=60.0, help="CPU seconds of a pair at most (%(default)s)")
    given = parser.parse_args(arguments)
    memory.bound(DECODE_BYTES_MAX)
    Image.MAX_IMAGE_PIXELS = None
    for line in sys.stdin:
        weight = weighed(Path(line.rstrip("\n")).read_bytes(), given.most)
        print(msgspec.json.encode(weight).decode(), flush=True)  # noqa: T201 - the answer
    return 0


if __name__ == "__main__":
    sys.exit(main())
