"""Whatever a person can mend is one kind of error."""

import pytest

from bench.config import ConfigError
from bench.errors import BenchError
from bench.peers.loadgen import LoadError
from bench.peers.phone import PhoneError
from bench.peers.started import StartError
from bench.service import ServiceError
from bench.traces.synthesis import ShapeError
from bench.traces.trace import TraceError


@pytest.mark.parametrize("kind", [ConfigError, LoadError, PhoneError, ServiceError, ShapeError, StartError, TraceError])
def test_each_is_printed_as_one_line(kind: type[Exception]) -> None:
    """The command catches the one base."""
    assert issubclass(kind, BenchError)
