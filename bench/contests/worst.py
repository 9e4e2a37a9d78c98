"""`python -m bench.contests.worst`: searches the costliest photo of every format: CPU seconds per pair and per MB.

There is one seeded hill climb for each format and goal. Each step changes one to three ingredients of the best recipe
so far (bench/contests/bombs.py); one of our render processes (`python -m processors.render.weigh`) measures the cost of
a pair of that photo, or says why the photo is refused before it is decoded. `ratio` compares the CPU per pixel with an
ordinary photo of 3 MP in that format. In the last row it compares the CPU with the budget at which a render is stopped,
and must be below one: otherwise the search found a cost that the cost model does not know. Exit code: 0 measured, 2 the
measurement was not possible.
"""

import io
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, Final, Self, cast

import msgspec
import numpy as np
from PIL import Image

from .. import command, photos
from ..peers.started import ROOT, StartError
from ..rows import Row, judged
from .bombs import CHOICES, STARTS, made

SEED: Final = 20261129
# CPU seconds at which a render is stopped; a render that was stopped counts as this much.
MOST_S: Final = 60.0
SECONDS: Final = 120.0
QUICK_SECONDS: Final = 5.0


class Weight(msgspec.Struct, frozen=True):
    """The answer of `processors.render.weigh` for a photo: CPU, reason of refusal if any, and CPU budget."""

    cpu_s: float
    refused: str
    budget_s: float


class Found(msgspec.Struct, frozen=True):
    """A recipe, the bytes of its photo, and its measured cost."""

    recipe: dict[str, Any]
    bytes: int
    weight: Weight

    @property
    def a_pixel(self) -> float:
        """CPU seconds of the pair for each pixel of its photo."""
        side = self.recipe.get("side", 0) * self.recipe.get("columns", 0)
        width, height = self.recipe.get("size", (side, side))
        return self.weight.cpu_s / int(width * height)

    @property
    def an_mb(self) -> float:
        """CPU seconds for each uploaded MB of such pairs."""
        return self.weight.cpu_s / (2 * self.bytes / 1e6)


# A search sends photos that crash a decoder, so photos are weighed in a process of their own.
class Scale:
    """`with Scale() as scale`: measures photos in a process, which is replaced when a photo kills it."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()
        self._folder.cleanup()

    def weigh(self, photo: bytes) -> Weight:
        """Measure the cost of a pair of this photo; StartError when the process ends with an error."""
        path = Path(self._folder.name, "photo")
        path.write_bytes(photo)
        if self._process is None:
            words = [sys.executable, "-m", "processors.render.weigh", "--most", str(MOST_S)]
            pipe = subprocess.PIPE
            self._process = subprocess.Popen(words, cwd=ROOT, stdin=pipe, stdout=pipe, text=True)
        asked, told = cast("IO[str]", self._process.stdin), cast("IO[str]", self._process.stdout)
        asked.write(f"{path}\n")
        asked.flush()
        line = told.readline()
        if line:
            return msgspec.json.decode(line, type=Weight)
        code = self._end()
        if code >= 0:
            raise StartError(f"processors.render.weigh ended with {code}")
        # Killed by a signal: SIGPROF at the end of its CPU seconds, or SIGSEGV of a decoder. Both are worse than any
        # cost.
        return Weight(MOST_S, "", 0.0)

    def _end(self) -> int:
        process, self._process = self._process, None
        if process is None:
            return 0
        cast("IO[str]", process.stdin).close()
        code = process.wait()
        cast("IO[str]", process.stdout).close()
        return code


def climb(
    kind: str, weigh: Callable[[bytes], Weight], worth: Callable[[Found], float], rng: random.Random, seconds: float
) -> tuple[Found, int, set[str]]:
    """The costliest photo that is rendered, the number of recipes tried, and the reasons of the refusals."""
    choices = CHOICES[kind]
    plain = {name: values[0] for name, values in choices.items()}
    waiting = [plain, *({**plain, **one} for one in STARTS[kind])]
    recipe = waiting.pop(0)
    best: Found | None = None
    seen: set[str] = set()
    reasons: set[str] = set()
    until = time.monotonic() + seconds
    while best is None or waiting or time.monotonic() < until:
        key = repr(recipe)
        # The same recipe makes the same photo.
        photo = made(kind, recipe) if key not in seen else None
        seen.add(key)
        if photo is not None:
            found = Found(dict(recipe), len(photo), weigh(photo))
            if found.weight.refused:
                reasons.add(found.weight.refused.partition(": ")[2])
            elif best is None or worth(found) > worth(best):
                best = found
        if waiting:
            recipe = waiting.pop(0)
            continue
        recipe = dict(best.recipe if best else recipe)
        # One to three ingredients: one finds the way up, more leave a hill that is not the highest.
        for name in rng.sample(list(choices), rng.choice((1, 1, 2, 3))):
            recipe[name] = rng.choice(choices[name])
    return best, len(seen), reasons


def honest() -> dict[str, bytes]:
    """An ordinary photo of 3 MP as a phone sends it, in every format."""
    jpeg = photos.render(np.random.default_rng(SEED), 1500, 88, sideways=False)
    image = Image.open(io.BytesIO(jpeg)).convert("RGB")
    found = {"jpeg": jpeg}
    for kind, options in (
        ("png", {}),
        ("webp", {"quality": 80, "method": 1}),
        ("heif", {"quality": 60}),
        ("avif", {"speed": 8}),
    ):
        out = io.BytesIO()
        image.save(out, kind, **cast("dict[str, Any]", options))
        found[kind] = out.getvalue()
    return found


def table(kind: str, photo: bytes, scale: Scale, rng: random.Random, seconds: float) -> list[Row]:
    """Search one format and return its rows; prints the recipes found and the reasons of refusals."""
    ordinary = scale.weigh(photo).cpu_s
    pair, pairs, reasons = climb(kind, scale.weigh, lambda one: one.weight.cpu_s, rng, seconds / 2)
    an_mb, more, others = climb(kind, scale.weigh, lambda one: one.an_mb, rng, seconds / 2)
    for found in (pair, an_mb):
        print(f"{kind}: {found.recipe}: {found.bytes:,} bytes, {found.weight.cpu_s:.2f} s a pair")
    for reason in sorted(reasons | others):
        print(f"{kind}: refused: {reason}")
    found_most = max((pair, an_mb), key=lambda one: one.weight.cpu_s / max(one.weight.budget_s, 0.001))
    # Below one: otherwise the search found a cost that the cost model does not know.
    budget = found_most.weight.cpu_s / max(found_most.weight.budget_s, 0.001)
    return [
        judged(f"{kind}: an honest pair of 3 MP", "CPU s/pair", ordinary),
        judged(f"{kind}: the dearest pair", "CPU s/pair", pair.weight.cpu_s, ratio=pair.a_pixel / (ordinary / 3e6)),
        judged(f"{kind}: its photo", "bytes", pair.bytes),
        judged(f"{kind}: the dearest uploaded MB", "CPU s/MB", an_mb.an_mb),
        judged(f"{kind}: its photo, by MB", "bytes", an_mb.bytes),
        judged(f"{kind}: its pair, by MB", "CPU s/pair", an_mb.weight.cpu_s),
        judged(f"{kind}: recipes weighed", "photos", pairs + more),
        judged(f"{kind}: nearest to the budget that ends it", "of budget", budget, ratio=budget, at_most=1.0),
    ]


def main(arguments: list[str] | None = None) -> int:
    """Search, print, write; return the exit code."""
    given = command.given("contests.worst", __doc__, "worst.json", arguments)

    def measure(tell: command.Tell) -> None:
        rng = random.Random(SEED)
        with Scale() as scale:
            for kind, photo in honest().items():
                for row in table(kind, photo, scale, rng, QUICK_SECONDS if given.quick else SECONDS):
                    tell(row)

    return command.run(given.out, measure)


if __name__ == "__main__":
    sys.exit(main())
