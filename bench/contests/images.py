"""`python -m bench.contests.images`: compares our rendering with libvips and Pillow in CPU, memory and fidelity.

Each contender is a separate program (`python -m processors.render.measure`, `python -m bench.peers.renderers`), started
anew for each round. Rounds go A-B-C-A-B-C, so that other load on the machine affects all contenders alike. All make the
same three JPEGs of one photo with the same settings, including those of the allocator. CPU is the minimum of all
repetitions, memory the maximum of all rounds; `ratio` is ours over libvips (CPU and memory: at most the aim; SSIM and
PSNR: at least). References are Lanczos reductions of the fully decoded photo. Exit code: 0 measured, whether an aim is
met or missed (see the table), 2 the measurement was not possible.
"""

import io
import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from PIL import Image, ImageOps

from .. import command, photos
from ..peers.started import ROOT, StartError
from ..rows import OURS, Row, against, judged
from . import fidelity

RIVAL: Final = "libvips"
COMMANDS: Final = {
    OURS: ["processors.render.measure"],
    RIVAL: ["bench.peers.renderers", "vips"],
    "Pillow": ["bench.peers.renderers", "pillow"],
}
NOT_INSTALLED: Final = 3
# By default glibc returns each picture's pages to the kernel and faults them in again. Our workers use exactly these
# settings (`processors/memory.py`; a test compares them), so all contenders get them: blocks above 15.5 MiB go back.
ALLOCATOR: Final = ("MALLOC_ARENA_MAX=1", "MALLOC_MMAP_THRESHOLD_=16252928", "MALLOC_TRIM_THRESHOLD_=67108864")
# A tolerance that is not visible: a thousandth of the SSIM, a hundredth of the decibels.
SSIM_AIM: Final = 0.999
PSNR_AIM: Final = 0.99


class Subject(msgspec.Struct, frozen=True):
    """A photo to make: its width upright (3:4), its JPEG quality, and whether it is stored rotated (EXIF)."""

    name: str
    width: int
    quality: int
    sideways: bool


# A photo that is decoded at its size, one that a decoder may reduce while it decodes, and one that must be turned.
SUBJECTS: Final = (
    Subject("1500x2000", 1500, 88, sideways=False),
    Subject("12 MP", 3024, 93, sideways=False),
    Subject("12 MP, EXIF sideways", 3024, 93, sideways=True),
)


class Figures(msgspec.Struct, kw_only=True):
    """One contender's figures for one photo: CPU of each repetition, memory, and the renditions."""

    cpu_ms: list[float] = []
    pair_cpu_ms: list[float] = []
    rss_bytes: int = 0
    rss_idle_bytes: int = 0
    renditions: dict[str, bytes] = {}


Found = dict[str, dict[str, Figures]]  # by subject, then contender


def run(contender: str, photo: Path, out: Path, times: int) -> Figures | None:
    """Run a contender in a new process; None when it is not installed."""
    # A new process for each round: the peak of its memory must be of this photo alone.
    program = ["env", *ALLOCATOR, sys.executable, "-m", *COMMANDS[contender]]
    words = [*program, str(out), str(photo), "--times", str(times)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode == NOT_INSTALLED:
        return None
    if done.returncode:
        raise StartError(f"{contender}: {done.stderr[-2000:]}")
    made = {path.stem: path.read_bytes() for path in sorted(out.glob("*.jpg"))}
    return msgspec.convert({**json.loads(done.stdout), "renditions": made}, Figures)


def rounds(pictures: dict[str, bytes], *, count: int, times: int) -> Found:
    """Run `count` rounds of every contender over every photo, contenders in turn."""
    found: Found = defaultdict(dict)
    with tempfile.TemporaryDirectory() as folder:
        photo, out = Path(folder, "photo"), Path(folder, "out")
        out.mkdir()
        for _ in range(count):
            for subject, data in pictures.items():
                photo.write_bytes(data)
                for contender in COMMANDS:
                    latest = run(contender, photo, out, times)
                    if latest is not None:
                        found[subject][contender] = joined(found[subject].get(contender), latest)
    return found


def joined(before: Figures | None, latest: Figures) -> Figures:
    """Merge two rounds: all repetitions, the higher of each memory figure, and the renditions, which are equal."""
    if before is None:
        return latest
    latest.cpu_ms += before.cpu_ms
    latest.pair_cpu_ms += before.pair_cpu_ms
    latest.rss_bytes = max(latest.rss_bytes, before.rss_bytes)
    latest.rss_idle_bytes = max(latest.rss_idle_bytes, before.rss_idle_bytes)
    return latest


def quality(photo: bytes, by: dict[str, Figures]) -> dict[str, dict[str, tuple[float, float]]]:
    """(SSIM, PSNR) by contender and rendition; the reference is the photo reduced to our size in one Lanczos step."""
    # Of the fully decoded photo, which no contender starts from.
    whole = ImageOps.exif_transpose(Image.open(io.BytesIO(photo))).convert("L")
    found: dict[str, dict[str, tuple[float, float]]] = defaultdict(dict)
    for name, data in by[OURS].renditions.items():
        reference = whole.resize(Image.open(io.BytesIO(data)).size, Image.Resampling.LANCZOS)
        for contender, figures in by.items():
            shown = Image.open(io.BytesIO(figures.renditions[name]))
            found[contender][name] = (fidelity.ssim(shown, reference), fidelity.psnr(shown, reference))
    return found


def table(found: Found, qualities: dict[str, dict[str, dict[str, tuple[float, float]]]]) -> Iterator[Row]:
    """The rows: CPU and memory for each photo, then fidelity and size of each rendition."""
    for subject, by in found.items():
        # The least of all repetitions: other load on the machine only adds.
        cpu = {name: [min(one.cpu_ms)] for name, one in by.items()}
        yield against(f"CPU, {subject}, at most", "ms/photo", cpu, rival=RIVAL, at_most=1.0)
        pair = min(by[OURS].pair_cpu_ms) / 2
        yield judged(f"CPU with composite and ThumbHash, {subject}", "ms/photo", pair)
        rss = {name: [one.rss_bytes / 2**20] for name, one in by.items()}
        yield against(f"peak RSS, {subject}", "MiB", rss, rival=RIVAL)
        idle = {name: [one.rss_idle_bytes / 2**20] for name, one in by.items()}
        yield against(f"RSS before, {subject}", "MiB", idle, rival=RIVAL)
        for size in ("full", "feed", "thumb"):
            ssim, psnr = ({name: [qualities[subject][name][size][of]] for name in by} for of in (0, 1))
            case = f"{size}, {subject}"
            yield against(f"SSIM {case}", "", ssim, rival=RIVAL, at_least=SSIM_AIM)
            yield against(f"PSNR {case}", "dB", psnr, rival=RIVAL, at_least=PSNR_AIM)
            sizes = {name: [len(one.renditions[size])] for name, one in by.items()}
            yield against(f"size {case}", "bytes", sizes, rival=RIVAL)


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, write; return the exit code, which a missed aim does not change."""
    given = command.given("contests.images", __doc__, "images.json", arguments)

    def measure(tell: command.Tell) -> None:
        rng = np.random.default_rng(20261121)
        pictures = {one.name: photos.render(rng, one.width, one.quality, sideways=one.sideways) for one in SUBJECTS}
        for name, data in pictures.items():
            print(f"{name}: {len(data):,} bytes")
        found = rounds(pictures, count=2 if given.quick else 7, times=4 if given.quick else 10)
        for row in table(found, {subject: quality(pictures[subject], by) for subject, by in found.items()}):
            tell(row)

    return command.run(given.out, measure)


if __name__ == "__main__":
    sys.exit(main())
