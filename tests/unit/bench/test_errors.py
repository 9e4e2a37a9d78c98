"""Whatever a person can mend is one kind of error."""

import pytest

from bench.config import ConfigError
from bench.errors import BenchError
from bench.files import WriteError
from bench.peers.loadgen import LoadError
from bench.peers.phone import PhoneError
from bench.peers.started import StartError
from bench.service import ServiceError
from bench.traces.synthesis import ShapeError
from bench.traces.trace import TraceError
from bench.traces.transformation import TransformError

KINDS = [
    *(ConfigError, LoadError, PhoneError, ServiceError, ShapeError, StartError, TraceError, TransformError),
    WriteError,
]


@pytest.mark.parametrize("kind", KINDS)
def test_each_is_printed_as_one_line(kind: type[Exception]) -> None:
    """The command catches the one base."""
    assert issubclass(kind, BenchError)
