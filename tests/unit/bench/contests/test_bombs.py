"""Recipes become photos of their format, or nothing where the ingredients do not go together."""

import io
from typing import Any

import pytest
from PIL import Image

from bench.contests.bombs import BYTES_MAX, CHOICES, STARTS, made


def small(kind: str, **given: Any) -> dict[str, Any]:
    """The plain recipe, of few pixels, with these ingredients."""
    plain = {name: values[0] for name, values in CHOICES[kind].items()}
    size = {"side": 64, "columns": 2} if kind == "heif" else {"size": (640, 640)}
    return {**plain, **size, **given}


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        ("jpeg", {}),
        ("jpeg", {"progressive": True, "scans": 2, "turned": 5, "segments": 10}),
        ("png", {"bits": 16, "colour": 6, "filter": 4}),
        ("png", {"colour": 3}),
        ("png", {"interlaced": 1}),
        ("webp", {"alpha": True}),
        ("webp", {"frames": 30}),
        ("heif", {"turns": 1}),
        ("avif", {"alpha": True}),
        ("avif", {"frames": 10}),
    ],
)
def test_recipes_become_photos(kind: str, given: dict[str, Any]) -> None:
    """Pillow decodes them."""
    photo = made(kind, small(kind, **given))

    assert photo
    assert len(photo) <= BYTES_MAX
    Image.open(io.BytesIO(photo)).load()


def test_what_does_not_go_together_is_nothing() -> None:
    """A palette of 16 bits, a grid of more than 50 MP."""
    assert made("png", small("png", bits=16, colour=3)) is None
    assert made("heif", small("heif", side=1024, columns=30)) is None


def test_starts_are_recipes() -> None:
    """Each ingredient has a value that there is."""
    for kind, starts in STARTS.items():
        for start in starts:
            assert all(value in CHOICES[kind][name] for name, value in start.items())


def test_scans_and_frames_are_in_the_file() -> None:
    """Three more scans of the last kind; the marker of the frame."""
    plain = made("jpeg", small("jpeg", progressive=True))
    more = made("jpeg", small("jpeg", progressive=True, scans=2, frame="arithmetic"))

    assert plain
    assert more
    assert more.count(b"\xff\xda") == plain.count(b"\xff\xda") + 2
    assert b"\xff\xca" in more
