"""Resampling: Lanczos as Pillow has it, the same bytes on every processor, and no process lost for lack of memory."""

import sys

import cykooz_resizer
import numpy as np
import pytest
from PIL import Image

from processors.render.resampling import fitted, resampled, shrunk
from tests.unit.processors.test_memory import said

SIZES = [((300, 400), (162, 216)), ((403, 302), (400, 300)), ((640, 480), (24, 18)), ((64, 64), (90, 150))]


def texture(mode: str, size: tuple[int, int]) -> Image.Image:
    """Detail of all scales, the same each time, and far from black and white, where each pass would clip."""
    channels = {"L": 1, "RGB": 3, "CMYK": 4}[mode]
    pixels = np.random.default_rng(1).integers(70, 185, (size[1] // 3 + 1, size[0] // 3 + 1, channels), np.uint8)
    return Image.fromarray(pixels.squeeze(), mode).resize(size, Image.Resampling.BICUBIC)


@pytest.mark.filterwarnings("ignore:'mode' parameter:DeprecationWarning")
@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize(("before", "after"), SIZES)
def test_it_is_lanczos(mode: str, before: tuple[int, int], after: tuple[int, int]) -> None:
    """Pillow's own filter differs by rounding alone: both understand the same pixels in the same memory."""
    image = texture(mode, before)

    ours, theirs = resampled(image, after), image.resize(after, Image.Resampling.LANCZOS)

    assert (ours.mode, ours.size) == (mode, after)
    assert np.abs(np.asarray(ours, int) - np.asarray(theirs, int)).max() <= 3


@pytest.mark.filterwarnings("ignore:'mode' parameter:DeprecationWarning")
def test_a_box_is_a_part_of_the_picture() -> None:
    """What lies outside has no influence but at the edge, as in Pillow."""
    image, box = texture("RGB", (300, 400)), (30.5, 40.0, 250.0, 391.25)

    ours, theirs = resampled(image, (110, 175), box), image.resize((110, 175), Image.Resampling.LANCZOS, box)

    assert np.abs(np.asarray(ours, int) - np.asarray(theirs, int))[4:-4, 4:-4].max() <= 3


@pytest.mark.filterwarnings("ignore:'mode' parameter:DeprecationWarning")
@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_every_processor_gives_the_same_bytes(mode: str) -> None:
    """Plain code, SSE4.1 and AVX2 agree, so a job may run again on another machine."""
    image = texture(mode, (301, 403))
    found = set()
    for extension in cykooz_resizer.CpuExtensions:
        resizer = cykooz_resizer.Resizer()
        try:
            resizer.cpu_extensions = extension
        except ValueError:  # not this machine's
            continue
        result = Image.new(mode, (163, 217))
        way = cykooz_resizer.ResizeAlg.convolution(cykooz_resizer.FilterType.lanczos3)
        resizer.resize_pil(image, result, cykooz_resizer.ResizeOptions(resize_alg=way, use_alpha=False))
        found.add(result.tobytes())

    assert found == {resampled(image, (163, 217)).tobytes()}


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_DATA counts mappings on Linux alone")
def test_too_little_memory_is_an_exception() -> None:
    """The Rust code would abort the process; so it is not begun, whatever part of what it needs is there."""
    lines = said("""
import resource
from PIL import Image
from processors.render.resampling import resampled
image = Image.new("RGB", (4000, 4000))
ends = set()
taken = [int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmData")][0] * 1024
for more in range(0, 64 << 20, 1 << 20):
    resource.setrlimit(resource.RLIMIT_DATA, (taken + more, resource.RLIM_INFINITY))
    try:
        resampled(image, (2000, 2000))
        ends.add("done")
    except MemoryError:
        ends.add("told")
print(*sorted(ends))
""")

    assert lines == "done told"


def test_sizes_fit_and_are_never_enlarged() -> None:
    """The long side at most as asked, the short side in proportion and at least one pixel."""
    assert fitted((3000, 4000), 2000) == (1500, 2000)
    assert fitted((12_000, 64), 320) == (320, 2)
    assert fitted((12_000, 10), 320) == (320, 1)
    assert fitted((300, 200), 320) == (300, 200)


def test_what_is_small_enough_stays() -> None:
    """No copy is made."""
    image = Image.new("RGB", (300, 200))

    assert shrunk(image, 300) is image
    assert shrunk(image, 299).size == (299, 199)
