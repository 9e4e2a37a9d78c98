"""The composite: the front where people look for it, the back everywhere else, at any size and shape."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from processors.render.composite import BORDER_COLOUR, _middle, composite

RED, BLUE = (220, 30, 30), (30, 30, 220)


def of(back: tuple[int, int], front: tuple[int, int]) -> Image.Image:
    """The composite of a blue back photo and a red front photo."""
    return composite(Image.new("RGB", back, BLUE), Image.new("RGB", front, RED))


def test_the_front_is_inset_at_the_top_left() -> None:
    """About 30 % of the width in red, a dark border around it, a margin and the rest in blue."""
    image = of((810, 1080), (810, 1080))
    row = [image.getpixel((x, 180)) for x in range(810)]

    assert image.size == (810, 1080)
    assert row.count(RED) == 243
    assert row.index(BORDER_COLOUR) == 28
    assert row.count(BORDER_COLOUR) == 12
    assert row.count(BLUE) == 810 - 243 - 12
    assert [image.getpixel((150, y)) for y in range(1080)].count(RED) == 324


def test_the_corners_are_round_and_smooth() -> None:
    """The inset's corner shows the back photo, and between the colours lie mixed ones."""
    image = of((810, 1080), (810, 1080))
    diagonal = [image.getpixel((at, at)) for at in range(28, 60)]

    assert diagonal[0] == BLUE
    assert diagonal[-1] == RED
    assert set(diagonal) - {BLUE, RED, BORDER_COLOUR}


def test_the_photos_are_left_alone() -> None:
    """The back photo is copied: it is a rendition of its own."""
    back = Image.new("RGB", (300, 400), BLUE)

    composite(back, Image.new("RGB", (300, 400), RED))

    assert back.getcolors() == [(120_000, BLUE)]


@pytest.mark.parametrize("back", [(1080, 810), (64, 64), (1080, 2), (2, 1080), (1, 1)])
@pytest.mark.parametrize("front", [(810, 1080), (1080, 810), (64, 64), (1080, 2), (2, 1080)])
def test_every_shape_has_a_composite(back: tuple[int, int], front: tuple[int, int]) -> None:
    """Strips are cropped around their middle, tiny photos enlarged; the front is always seen."""
    image = of(back, front)

    assert image.size == back
    if min(back) >= 64:
        colours = {colour: count for count, colour in image.getcolors(2**24) or []}
        assert colours[RED] > back[0] * back[1] * 0.02
        assert colours[BLUE] > back[0] * back[1] * 0.4


def test_a_front_photo_of_other_proportions_has_a_composite() -> None:
    """5:6 in front of 2:3, where dividing and multiplying again is not exact."""
    assert of((720, 1080), (900, 1080)).size == (720, 1080)


@given(front=st.tuples(*[st.integers(1, 1080)] * 2), inset=st.tuples(*[st.integers(1, 700)] * 2))
def test_what_is_inset_lies_inside_the_photo(front: tuple[int, int], inset: tuple[int, int]) -> None:
    """To the last bit, for the resampler takes nothing else."""
    left, top, right, bottom = _middle(Image.new("1", front), inset)

    assert 0 <= left < right <= front[0]
    assert 0 <= top < bottom <= front[1]
    assert left + (right - left) <= front[0]
    assert top + (bottom - top) <= front[1]
