"""`python -m bench.contests.worst`: the dearest photo of every format, by search: CPU seconds a pair and a MB.

A seeded hill climb a format and aim: from the best recipe so far one or two ingredients change
(bench/contests/bombs.py), a render process of ours (`python -m processors.render.weigh`) says what a pair of it costs,
or why it is refused before it is decoded. `ratio` is of CPU a pixel to an honest photo of 3 MP in that format, and to
the budget that ends a render for the last row, which has to be below one: else the search found what the model of costs
does not know. Exit: 0 measured, 2 it could not be measured.
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

from .. import photos
from ..peers.started import ROOT, StartError
from ..rows import Row, judged
from . import command
from .bombs import CHOICES, STARTS, made

SEED: Final = 20261129
# Of a climb; whoever never ends counts as this much.
MOST_S: Final = 60.0
SECONDS: Final = 120.0
QUICK_SECONDS: Final = 5.0


class Weight(msgspec.Struct, frozen=True):
    """What `processors.render.weigh` says of a photo."""

    cpu_s: float
    refused: str
    budget_s: float


class Found(msgspec.Struct, frozen=True):
    """A recipe, its bytes and its weight."""

    recipe: dict[str, Any]
    bytes: int
    weight: Weight

    @property
    def a_pixel(self) -> float:
        """CPU seconds of a pair's photo's pixel."""
        side = self.recipe.get("side", 0) * self.recipe.get("columns", 0)
        width, height = self.recipe.get("size", (side, side))
        return self.weight.cpu_s / int(width * height)

    @property
    def an_mb(self) -> float:
        """CPU seconds of an uploaded MB of such pairs."""
        return self.weight.cpu_s / (2 * self.bytes / 1e6)


class Scale:
    """`with Scale() as scale`: weighs photos in a process that is replaced when one ends it."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()
        self._folder.cleanup()

    def weigh(self, photo: bytes) -> Weight:
        """What a pair of it costs."""
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
    """The dearest photo that is rendered, how many were weighed, and the reasons of those that were refused."""
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
        for name in rng.sample(list(choices), rng.choice((1, 1, 2, 3))):
            recipe[name] = rng.choice(choices[name])
    return best, len(seen), reasons


def honest() -> dict[str, bytes]:
    """A photo of 3 MP as a phone sends it, in every format."""
    jpeg = photos.render(np.random.default_rng(SEED), 1500, 88, sideways=False)
    image = Image.open(io.BytesIO(jpeg)).convert("RGB")
    found = {"jpeg": jpeg}
    for kind, options in (("png", {}), ("webp", {"quality": 80, "method": 1}), ("heif", {"quality": 60})):
        out = io.BytesIO()
        image.save(out, kind, **cast("dict[str, Any]", options))
        found[kind] = out.getvalue()
    return found


def table(kind: str, photo: bytes, scale: Scale, rng: random.Random, seconds: float) -> list[Row]:
    """The rows of a format; what was found and refused is printed."""
    ordinary = scale.weigh(photo).cpu_s
    pair, pairs, reasons = climb(kind, scale.weigh, lambda one: one.weight.cpu_s, rng, seconds / 2)
    an_mb, more, others = climb(kind, scale.weigh, lambda one: one.an_mb, rng, seconds / 2)
    for found in (pair, an_mb):
        print(f"{kind}: {found.recipe}: {found.bytes:,} bytes, {found.weight.cpu_s:.2f} s a pair")
    for reason in sorted(reasons | others):
        print(f"{kind}: refused: {reason}")
    found_most = max((pair, an_mb), key=lambda one: one.weight.cpu_s / max(one.weight.budget_s, 0.001))
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
    """Search, print, write."""
    given = command.given("worst", __doc__, "worst.json", arguments)

    def measure(tell: command.Tell) -> None:
        rng = random.Random(SEED)
        with Scale() as scale:
            for kind, photo in honest().items():
                for row in table(kind, photo, scale, rng, QUICK_SECONDS if given.quick else SECONDS):
                    tell(row)

    return command.run(given.out, measure)


if __name__ == "__main__":
    sys.exit(main())
