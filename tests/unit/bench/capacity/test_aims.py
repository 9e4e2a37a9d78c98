"""The inputs of a plan: each is described, and its range checked."""

from typing import get_type_hints

import msgspec
import pytest
from msgspec import Meta

from bench.capacity.aims import Aims


def test_every_input_says_what_it_is() -> None:
    """Its help is its description."""
    hints = get_type_hints(Aims, include_extras=True)
    for field in msgspec.structs.fields(Aims):
        assert any(isinstance(meta, Meta) and meta.description for meta in hints[field.name].__metadata__), field.name


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("ready_s", 0.1, 0),
        ("utilisation", 1, 1.01),
        ("spare", 0, -1),
        ("cores", 1, 0),
        ("views", 0, -0.1),
        ("zones", 0, -1),
    ],
)
def test_each_has_its_range(name: str, good: float, bad: float) -> None:
    """Both sides."""
    assert getattr(msgspec.convert({name: good}, Aims), name) == good
    with pytest.raises(msgspec.ValidationError, match=name):
        msgspec.convert({name: bad}, Aims)
