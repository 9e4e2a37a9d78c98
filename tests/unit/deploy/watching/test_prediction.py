"""The bands of a sealed prediction."""

import msgspec
import pytest

from bench.prediction.sealed import Prediction as Sealed
from bench.simulation.bands import Band as SealedBand
from bench.simulation.fleet import Fleet
from deploy.watching.prediction import PredictionUnreadable, decode
from deploy.watching.view import Foretold

FIGURES = {
    "accepted": (90.0, 100.0, 110.0),
    "upload_p99_ms": (800.0, 900.0, 1000.0),
    "offered@0": (1.0, 2.0, 3.0),
    "offered@10": (4.0, 5.0, 6.0),
    "offered@2": (7.0, 8.0, 9.0),
    "shed@2": (0.0, 0.0, 1.0),
}


def sealed() -> bytes:
    """A file as bench seals it."""
    bands = {name: SealedBand(*band) for name, band in FIGURES.items()}
    found = Sealed(
        sealed_at="2026-11-30T10:00:00+00:00",
        trace_sha256="0" * 64,
        fleet=Fleet(machines={}),
        code="c",
        figures=bands,
        costs="k",
    )
    return msgspec.json.encode(found)


def test_the_course_is_in_the_order_of_seconds() -> None:
    """The names of a dictionary are not."""
    course = decode(sealed()).course()
    assert course["offered"] == [(0, 1.0, 2.0, 3.0), (2, 7.0, 8.0, 9.0), (10, 4.0, 5.0, 6.0)]
    assert course["accepted"] == []


def test_what_happens_stands_beside_what_was_predicted() -> None:
    """Figures of the burst so far, and of this second once the moment has fired."""
    prediction = decode(sealed())
    so_far = {"accepted": 50.0, "upload_p99_ms": None, "workers_peak": 3.0}
    assert list(prediction.beside(so_far, {"offered": 8.5}, 2.9)) == [
        Foretold(name="accepted", p10=90.0, p50=100.0, p90=110.0, now=50.0),
        Foretold(name="upload_p99_ms", p10=800.0, p50=900.0, p90=1000.0, now=None),
        Foretold(name="offered a second", p10=7.0, p50=8.0, p90=9.0, now=8.5),
    ]
    assert list(prediction.beside({}, {"offered": 1.0}, -0.5)) == []
    assert list(prediction.beside({}, {"offered": 1.0}, None)) == []
    assert list(prediction.beside({}, {"offered": 1.0}, 3.0)) == []  # a second that nobody predicted


@pytest.mark.parametrize("body", [b"", b"[]", b'{"figures":{}}', b'{"sealed_at":"x","figures":{"accepted":5}}'])
def test_another_file_is_refused(body: bytes) -> None:
    """With what is wrong."""
    with pytest.raises(PredictionUnreadable, match="not a sealed prediction"):
        decode(body)


@pytest.mark.parametrize(
    ("name", "now", "outside"),
    [
        ("accepted", 89.0, False),  # more may come
        ("accepted", 110.0, False),
        ("accepted", 111.0, True),
        ("upload_p99_ms", 799.0, True),
        ("upload_p99_ms", 800.0, False),
        ("upload_p99_ms", 1001.0, True),
        ("upload_p99_ms", None, False),
    ],
)
def test_a_figure_that_can_still_come_into_its_band_is_not_outside(name: str, now: float | None, outside: bool) -> None:  # noqa: FBT001 - parametrized
    """A count only grows."""
    assert [one.outside for one in decode(sealed()).beside({name: now}, {}, None)] == [outside]


def test_a_second_is_outside_on_either_side() -> None:
    """It is over."""
    found = [one.outside for now in (6.9, 7.0, 9.1) for one in decode(sealed()).beside({}, {"offered": now}, 2.0)]
    assert found == [True, False, True]
