"""`python -m bench.images`: what rendering a photo costs beside libvips and plain Pillow, and how good it looks.

Each contender is a program of its own (`python -m processors.measure`, `python -m bench.peers.renderers`), a fresh
process a round, in turns: A-B-C-A-B-C, so that what else the machine does falls on all alike. All make the same three
JPEGs of one photo with the same settings. CPU is the least of all turns; `ratio` is ours over libvips (CPU and memory:
at most the aim; SSIM and PSNR: at least). References are Lanczos reductions of the photo decoded whole.
"""

import argparse
import io
import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from PIL import Image, ImageOps

from . import fidelity, photos
from .ring import machine

ROOT: Final = Path(__file__).resolve().parent.parent
RESULTS: Final = ROOT / "bench" / "results"
RIVAL: Final = "libvips"
COMMANDS: Final = {
    "ours": ["processors.measure"],
    RIVAL: ["bench.peers.renderers", "vips"],
    "Pillow": ["bench.peers.renderers", "pillow"],
}
NOT_INSTALLED: Final = 3
# As our workers set it by themselves: else glibc gives each picture's pages back and faults them in again.
ALLOCATOR: Final = ("MALLOC_ARENA_MAX=1", "MALLOC_MMAP_THRESHOLD_=33554432", "MALLOC_TRIM_THRESHOLD_=67108864")
# A hair: nobody sees a thousandth of SSIM or a hundredth of the decibels.
SSIM_AIM: Final = 0.999
PSNR_AIM: Final = 0.99


class Subject(msgspec.Struct, frozen=True):
    """A photo to make: its width upright (3:4), its JPEG quality, and whether the sensor lay sideways."""

    name: str
    width: int
    quality: int
    sideways: bool


SUBJECTS: Final = (
    Subject("1500x2000", 1500, 88, sideways=False),
    Subject("12 MP", 3024, 93, sideways=False),
    Subject("12 MP, EXIF sideways", 3024, 93, sideways=True),
)


class Figures(msgspec.Struct, kw_only=True):
    """What one contender took for one photo, by turn, and what it made."""

    cpu_ms: list[float] = []
    pair_cpu_ms: list[float] = []
    rss_bytes: int = 0
    rss_idle_bytes: int = 0
    renditions: dict[str, bytes] = {}


Found = dict[str, dict[str, Figures]]  # by subject, then contender


def run(contender: str, photo: Path, out: Path, times: int) -> Figures | None:
    """One fresh process of a contender; None when it is not installed."""
    command = [
        "env",
        *ALLOCATOR,
        sys.executable,
        "-m",
        *COMMANDS[contender],
        str(out),
        str(photo),
        "--times",
        str(times),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode == NOT_INSTALLED:
        return None
    if done.returncode:
        raise RuntimeError(f"{contender}: {done.stderr[-2000:]}")
    made = {path.stem: path.read_bytes() for path in sorted(out.glob("*.jpg"))}
    return msgspec.convert({**json.loads(done.stdout), "renditions": made}, Figures)


def rounds(pictures: dict[str, bytes], *, count: int, times: int) -> Found:
    """So many rounds of every contender over every photo, in turns."""
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
    """Two rounds as one; memory is the most."""
    if before is None:
        return latest
    latest.cpu_ms += before.cpu_ms
    latest.pair_cpu_ms += before.pair_cpu_ms
    latest.rss_bytes = max(latest.rss_bytes, before.rss_bytes)
    return latest


def quality(photo: bytes, by: dict[str, Figures]) -> dict[str, dict[str, tuple[float, float]]]:
    """(SSIM, PSNR) by contender and rendition, against the photo reduced by Lanczos in one step to the size of ours."""
    whole = ImageOps.exif_transpose(Image.open(io.BytesIO(photo))).convert("L")
    found: dict[str, dict[str, tuple[float, float]]] = defaultdict(dict)
    for name, data in by["ours"].renditions.items():
        reference = whole.resize(Image.open(io.BytesIO(data)).size, Image.Resampling.LANCZOS)
        for contender, figures in by.items():
            shown = Image.open(io.BytesIO(figures.renditions[name]))
            found[contender][name] = (fidelity.ssim(shown, reference), fidelity.psnr(shown, reference))
    return found


def row(case: str, unit: str, values: dict[str, float], *, at_most: float = 0, at_least: float = 0) -> dict[str, Any]:
    """One row of the table; without an aim it only tells."""
    peers = {name: value for name, value in values.items() if name != "ours"}
    ratio = round(values["ours"] / peers[RIVAL], 4) if RIVAL in peers else None
    aim = at_most or at_least or None
    met = None if aim is None or ratio is None else (ratio <= aim if at_most else ratio >= aim)
    return {"case": case, "unit": unit, "ours": values["ours"], "peers": peers, "ratio": ratio, "aim": aim, "met": met}


def table(found: Found, qualities: dict[str, dict[str, dict[str, tuple[float, float]]]]) -> list[dict[str, Any]]:
    """The rows: CPU and memory a photo, then each rendition's fidelity and size."""
    rows = []
    for subject, by in found.items():
        cpu = {name: round(min(one.cpu_ms), 1) for name, one in by.items()}
        rows.append(row(f"CPU, {subject}, at most", "ms/photo", cpu, at_most=1.0))
        pair = round(min(by["ours"].pair_cpu_ms) / 2, 1)
        rows.append(row(f"CPU with composite and ThumbHash, {subject}", "ms/photo", {"ours": pair}))
        rss = {name: round(one.rss_bytes / 2**20, 1) for name, one in by.items()}
        rows.append(row(f"peak RSS, {subject}", "MiB", rss))
        idle = {name: round(one.rss_idle_bytes / 2**20, 1) for name, one in by.items()}
        rows.append(row(f"RSS before, {subject}", "MiB", idle))
        for size in ("full", "feed", "thumb"):
            of = {name: qualities[subject][name][size] for name in by}
            case = f"{size}, {subject}"
            rows += [
                row(f"SSIM {case}, at least", "", {n: round(v[0], 4) for n, v in of.items()}, at_least=SSIM_AIM),
                row(f"PSNR {case}, at least", "dB", {n: round(v[1], 2) for n, v in of.items()}, at_least=PSNR_AIM),
                row(f"size {case}", "bytes", {name: len(one.renditions[size]) for name, one in by.items()}),
            ]
    return rows


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, write; 1 when an aim is missed."""
    parser = argparse.ArgumentParser(prog="python -m bench.images", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds, the same rows")
    parser.add_argument("--out", type=Path, default=RESULTS / "images.json", help="where the table goes (%(default)s)")
    given = parser.parse_args(arguments)
    rng = np.random.default_rng(20261121)
    pictures = {one.name: photos.render(rng, one.width, one.quality, sideways=one.sideways) for one in SUBJECTS}
    for name, data in pictures.items():
        print(f"{name}: {len(data):,} bytes")
    found = rounds(pictures, count=2 if given.quick else 7, times=4 if given.quick else 10)
    rows = table(found, {subject: quality(pictures[subject], by) for subject, by in found.items()})
    given.out.parent.mkdir(exist_ok=True)
    given.out.write_text(json.dumps({"machine": machine(), "rows": rows}, indent=1, ensure_ascii=False) + "\n")
    for one in rows:
        mark = {None: "", True: "met", False: "MISSED"}[one["met"]]
        peers = "  ".join(f"{name} {value:,}" for name, value in one["peers"].items())
        print(f"{one['case']:<54} {one['ours']:>10,} {one['unit']:<9} {peers:<38} {one['ratio'] or '':>7} {mark}")
    return 1 if any(one["met"] is False for one in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
