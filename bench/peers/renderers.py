"""`python -m bench.peers.renderers vips|pillow OUT PHOTO [--times N]`: measures the peers of our renderer.

Each peer renders one photo as our workers do: upright JPEGs of at most 2000, 1080 and 320 pixels a side, quality 80,
4:2:0, without metadata. `vips` follows the advice of the libvips documentation: shrink on load, each size from the one
before, one thread, no operation cache. `pillow` is the simplest code. The output is JSON: CPU milliseconds of each
repetition, and the process's peak memory before it read the photo and at the end.
"""

import argparse
import io
import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from PIL import Image, ImageOps

SIZES: Final = {"full": 2000, "feed": 1080, "thumb": 320}
QUALITY: Final = 80

Renderer = Callable[[bytes], dict[str, bytes]]


def pillow(photo: bytes) -> dict[str, bytes]:
    """Open the photo, apply its orientation, and reduce and save each size from the full photo."""
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(photo))).convert("RGB")
    made = {}
    for name, side in SIZES.items():
        small, buffer = image.copy(), io.BytesIO()
        small.thumbnail((side, side), Image.Resampling.LANCZOS)
        small.info = {}
        small.save(buffer, "JPEG", quality=QUALITY)
        made[name] = buffer.getvalue()
    return made


def vips() -> Renderer:
    """The renderer on libvips; ImportError or OSError where it is not installed."""
    import pyvips  # noqa: PLC0415 - only this peer needs it

    # The advice of the libvips documentation for a server: no operation cache, one thread.
    pyvips.cache_set_max(0)
    pyvips.concurrency_set(1)

    def rendered(photo: bytes) -> dict[str, bytes]:
        made: dict[str, bytes] = {}
        image: Any = None
        for name, side in SIZES.items():
            if image is None:
                image = pyvips.Image.thumbnail_buffer(photo, side, height=side, size="down")
            else:
                # Each size from the one before.
                image = image.thumbnail_image(side, height=side, size="down")
            image = image.copy_memory()
            made[name] = image.jpegsave_buffer(Q=QUALITY, subsample_mode="on", keep="none")
        return made

    return rendered


def rss_bytes() -> int:
    """The peak resident memory of this process until now, in bytes.

    On Linux, getrusage's maximum survives exec, so it may be that of the parent process; VmHWM (KiB) is reset by exec.
    """
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().partition("VmHWM:")[2].split()[0]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # in bytes on macOS


def main(arguments: list[str] | None = None) -> int:
    """Measure one peer and print the figures; exit code 3 when the peer is not installed."""
    parser = argparse.ArgumentParser(prog="python -m bench.peers.renderers", description=__doc__, allow_abbrev=False)
    parser.add_argument("peer", choices=("vips", "pillow"))
    parser.add_argument("out", type=Path, help="folder for the renditions")
    parser.add_argument("photo", type=Path)
    parser.add_argument("--times", type=int, default=5, help="number of repetitions (%(default)s)")
    given = parser.parse_args(arguments)
    try:
        renderer = vips() if given.peer == "vips" else pillow
    except (ImportError, OSError) as error:
        print(error, file=sys.stderr)
        return 3
    idle, cpu_ms = rss_bytes(), []
    photo = given.photo.read_bytes()
    made: dict[str, bytes] = {}
    for _ in range(given.times):
        begun = time.process_time()
        made = renderer(photo)
        cpu_ms.append((time.process_time() - begun) * 1000)
    most = rss_bytes()
    for name, data in made.items():
        (given.out / f"{name}.jpg").write_bytes(data)
    print(json.dumps({"cpu_ms": cpu_ms, "rss_idle_bytes": idle, "rss_bytes": most}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
