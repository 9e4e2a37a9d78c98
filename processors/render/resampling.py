"""Pictures made smaller, or parts of them: Lanczos, one thread, the same bytes on every processor.

`cykooz_resizer` (the Rust crate fast_image_resize) does with AVX2, SSE4.1 or NEON what Pillow does a number at a time:
1500x2000 → 810x1080 takes 4.8 ms with LANCZOS where Pillow takes 36, and 14.7 with its blunter HAMMING, which was the
largest part of a render. It calculates in integers, so that all of these give the same bytes; a test asks for that.

It reads and writes the pixels where Pillow keeps them, by Pillow's layout in memory: hence the cap on Pillow's version
in pyproject.toml, and a test against Pillow's own LANCZOS. What is resized and why is not known here.
"""

from cykooz_resizer import CropBox, FilterType, ResizeAlg, ResizeOptions, Resizer
from PIL import Image

from ..memory import ensure

PIXEL_BYTES = 4
# Six lobes of Lanczos at two bytes and up a source pixel, for both passes, generously.
TABLE_BYTES = 64


def resampled(
    image: Image.Image, size: tuple[int, int], box: tuple[float, float, float, float] | None = None
) -> Image.Image:
    """The image (L, RGB or CMYK), or the part of it inside `box`, at this size; MemoryError.

    `box` is left, top, right, bottom in pixels, all of them inside the image.
    """
    result = Image.new(image.mode, size, None)
    options = ResizeOptions(resize_alg=ResizeAlg.convolution(FilterType.lanczos3), use_alpha=False)
    if box is not None:
        options.crop_box = CropBox(box[0], box[1], box[2] - box[0], box[3] - box[1])
    # Where Rust finds no memory the process ends. It takes a picture of the new width and the old height, and tables.
    ensure(PIXEL_BYTES * size[0] * image.height + TABLE_BYTES * (max(image.size) + max(size)))
    Resizer().resize_pil(image, result, options)
    return result


def shrunk(image: Image.Image, long_side: int) -> Image.Image:
    """The image reduced to the long side."""
    size = fitted(image.size, long_side)
    return image if size == image.size else resampled(image, size)


def fitted(size: tuple[int, int], long_side: int) -> tuple[int, int]:
    """The size reduced to the long side, never enlarged, never below one pixel."""
    factor = max(1.0, max(size) / long_side)
    return max(1, round(size[0] / factor)), max(1, round(size[1] / factor))
