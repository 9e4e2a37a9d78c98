"""`python -m processors.render.measure OUT PHOTO [--times N]`: prints a photo's cost as JSON, writes renditions to OUT.

The process has a renderer's memory limits, and renders in a thread, one photo after another. `cpu_ms` is the CPU time
of each repetition of the three renditions, `pair_cpu_ms` that of each repetition of a whole pair of this photo with
composite and ThumbHashes. `rss_bytes` is the peak memory after the three renditions, `rss_idle_bytes` before them.
"""

import argparse
import resource
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from storage.photo.formats import DECODE_BYTES_MAX

from .. import memory
from .images import Rendition, encoded, reduced, render


class Measured(msgspec.Struct, kw_only=True):
    """The figures of one photo; the head of this file explains them."""

    cpu_ms: list[float]
    pair_cpu_ms: list[float]
    rss_idle_bytes: int
    rss_bytes: int


def rss_bytes() -> int:
    """The peak memory of this program so far, in bytes."""
    # On Linux getrusage's maximum survives exec, so it may be the parent's; VmHWM (KiB) starts from zero.
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().partition("VmHWM:")[2].split()[0]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS


def timed(job: Callable[[], object], times: int) -> list[float]:
    """Run the job `times` times; the CPU time of each run in milliseconds."""
    took = []
    for _ in range(times):
        begun = time.process_time()
        job()
        took.append((time.process_time() - begun) * 1000)
    return took


def renditions(photo: bytes) -> list[Rendition]:
    """The three renditions of one photo."""
    return [encoded(name, image) for name, image in reduced("front", photo).items()]


def measure(photo: bytes, out: Path, times: int) -> Measured:
    """Measure the photo's cost over `times` repetitions, and write its renditions to `out`."""
    idle = rss_bytes()
    cpu_ms = timed(lambda: renditions(photo), times)
    most = rss_bytes()
    pair_cpu_ms = timed(lambda: render(photo, photo), times)
    for one in renditions(photo):
        (out / f"{one.name}.jpg").write_bytes(one.data)
    return Measured(cpu_ms=cpu_ms, pair_cpu_ms=pair_cpu_ms, rss_idle_bytes=idle, rss_bytes=most)


def main(arguments: list[str] | None = None) -> int:
    """Measure one photo and print the figures as JSON."""
    parser = argparse.ArgumentParser(
        prog="python -m processors.render.measure", description=__doc__, allow_abbrev=False
    )
    parser.add_argument("out", type=Path, help="folder for the renditions")
    parser.add_argument("photo", type=Path)
    parser.add_argument("--times", type=int, default=5, help="number of repetitions (%(default)s)")
    given = parser.parse_args(arguments)
    memory.bound(DECODE_BYTES_MAX)
    with ThreadPoolExecutor(1) as threads:
        measured = threads.submit(measure, given.photo.read_bytes(), given.out, given.times).result()
    print(msgspec.json.encode(measured).decode())  # noqa: T201
    return 0


if __name__ == "__main__":
    main()
