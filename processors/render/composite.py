"""The composite: the back photo with the front photo as an inset at its top left, as in BeReal.

All lengths are hundredths of the back photo's short side, so the layout looks the same at every size and orientation.
Only here a tiny front photo is enlarged, because the inset's size is part of the layout.
This file does not know where the photos come from or how the result is encoded.
"""

from PIL import Image, ImageDraw

from .resampling import resampled

# In percent of the back photo's short side.
INSET_WIDTH = 30
MARGIN = 3.5
BORDER = 0.7
RADIUS = 4.5
# A front photo with a larger aspect ratio, in either orientation, is cropped around its middle.
INSET_ASPECT_MAX = 2.0

BORDER_COLOUR = (12, 12, 12)
SUPERSAMPLING = 4  # Pillow draws corners without anti-aliasing, so masks are drawn four times as large and reduced.


def composite(back: Image.Image, front: Image.Image) -> Image.Image:
    """A picture of the back photo's size, the front inset with rounded corners and a thin dark border. Both are RGB."""
    unit = min(back.size) / 100
    aspect = min(max(front.height / front.width, 1 / INSET_ASPECT_MAX), INSET_ASPECT_MAX)
    inset = (max(1, round(INSET_WIDTH * unit)), max(1, round(INSET_WIDTH * unit * aspect)))
    margin, border, radius = round(MARGIN * unit), round(BORDER * unit), round(RADIUS * unit)

    result = back.copy()
    frame = (inset[0] + 2 * border, inset[1] + 2 * border)
    result.paste(BORDER_COLOUR, (margin, margin), _rounded(frame, radius + border))
    photo = resampled(front, inset, box=_middle(front, inset))
    result.paste(photo, (margin + border, margin + border), _rounded(inset, radius))
    return result


def _middle(front: Image.Image, inset: tuple[int, int]) -> tuple[float, float, float, float]:
    """The box of the photo's largest centred part with the inset's proportions: all of it, unless it is a strip."""
    scale = min(front.width / inset[0], front.height / inset[1])
    # Without `max`, a rounding error would put the box outside the photo when nothing is cropped.
    left, top = (max(0.0, whole - part * scale) / 2 for whole, part in zip(front.size, inset, strict=True))
    return left, top, front.width - left, front.height - top


def _rounded(size: tuple[int, int], radius: int) -> Image.Image:
    """A mask that is opaque inside a rectangle with smooth rounded corners."""
    large = (size[0] * SUPERSAMPLING, size[1] * SUPERSAMPLING)
    mask = Image.new("L", large, 0)
    ImageDraw.Draw(mask).rounded_rectangle((0, 0, large[0] - 1, large[1] - 1), radius * SUPERSAMPLING, fill=255)
    return mask.reduce(SUPERSAMPLING)
