"""The search: it climbs, keeps what is rendered, tells what is refused; the scale outlives what ends it."""

import random

import pytest

from bench.contests.worst import MOST_S, Found, Scale, Weight, climb, table
from tests.unit.bench.contests.test_bombs import made, small


def test_a_climb_ends_with_the_dearest() -> None:
    """Of all that were weighed; refused ones are reasons only."""
    weighed: list[float] = []

    def weigh(photo: bytes) -> Weight:
        if len(photo) % 2:
            return Weight(99.0, "front photo: odd", 1.0)
        weighed.append(float(len(photo)))
        return Weight(float(len(photo)), "", 1.0)

    best, count, reasons = climb("heif", weigh, lambda one: one.weight.cpu_s, random.Random(1), 0.5)

    assert best.weight.cpu_s == max(weighed) == best.bytes
    assert count >= len(weighed)
    assert reasons <= {"odd"}


def test_a_found_photo_is_told_by_pixel_and_by_megabyte() -> None:
    """A pair uploads it twice."""
    found = Found({"size": (1000, 1000)}, 500_000, Weight(3.0, "", 1.0))

    assert found.a_pixel == pytest.approx(3e-6)
    assert found.an_mb == pytest.approx(3.0)


def test_the_scale_weighs_and_is_replaced() -> None:
    """A photo is rendered; one that is none has a reason; nothing is left running."""
    photo = made("jpeg", small("jpeg"))
    assert photo
    with Scale() as scale:
        weight = scale.weigh(photo)
        assert weight.refused == ""
        assert 0 < weight.cpu_s < min(weight.budget_s, MOST_S)
        assert scale.weigh(b"hello").refused == "front photo: not a JPEG, PNG, WebP, HEIC or AVIF image"
        rows = table("heif", photo, scale, random.Random(1), 0.0)

    assert rows[-1].case.endswith("budget that ends it")
    assert rows[-1].aim == 1.0
