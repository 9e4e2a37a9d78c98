"""Resizes pictures or parts of them with Lanczos, on one thread, with the same bytes on every processor.

`cykooz_resizer` (the Rust crate fast_image_resize) uses AVX2, SSE4.1 or NEON, while Pillow uses no SIMD:
1500x2000 → 810x1080 with LANCZOS takes 4.8 ms, in Pillow 36 ms. Pillow's HAMMING, less sharp, takes 14.7 ms, and that
was the largest part of a render. The crate calculates in integers, so all instruction sets give the same bytes, which a
test checks.

The crate reads and writes Pillow's pixel memory directly and so depends on its layout: hence the cap on Pillow's
version in pyproject.toml, and a test against Pillow's own LANCZOS.
"""

from cykooz_resizer import CropBox, FilterType, ResizeAlg, ResizeOptions, Resizer
from PIL import Image

from ..memory import ensure

PIXEL_BYTES = 4
# The size of the coefficient tables for each pixel of a side, estimated generously: six lobes of Lanczos, two bytes or
# more each, for both passes.
TABLE_BYTES = 64


def resampled(
    image: Image.Image, size: tuple[int, int], box: tuple[float, float, float, float] | None = None
) -> Image.Image:
    """The image (L, RGB or CMYK), or the part of it inside `box`, resized to `size`; MemoryError.

    `box` is (left, top, right, bottom) in pixels and lies inside the image.
    """
    result = Image.new(image.mode, size, None)
    options = ResizeOptions(resize_alg=ResizeAlg.convolution(FilterType.lanczos3), use_alpha=False)
    if box is not None:
        options.crop_box = CropBox(box[0], box[1], box[2] - box[0], box[3] - box[1])
    # When Rust cannot allocate memory, it ends the process. It needs its tables and a picture of new width, old height.
    ensure(PIXEL_BYTES * size[0] * image.height + TABLE_BYTES * (max(image.size) + max(size)))
    Resizer().resize_pil(image, result, options)
    return result


def shrunk(image: Image.Image, long_side: int) -> Image.Image:
    """The image, reduced so that its long side is at most `long_side` pixels; never enlarged."""
    size = fitted(image.size, long_side)
    return image if size == image.size else resampled(image, size)


def fitted(size: tuple[int, int], long_side: int) -> tuple[int, int]:
    """The size, reduced so that its long side is at most `long_side`; never enlarged, never below one pixel."""
    factor = max(1.0, max(size) / long_side)
    return max(1, round(size[0] / factor)), max(1, round(size[1] / factor))
