"""Phones that speak TLS to a balancer, for the tests of this folder."""

import ssl
from collections.abc import Callable
from pathlib import Path

import pytest

from lb.front.tls import Termination
from lb.front.tls_transport import speaks_tls
from tests.certificates import made_certificate
from tests.unit.lb.conftest import Stage
from tests.unit.lb.front.tls_phone import TlsPhone

Connect = Callable[..., TlsPhone]


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Termination:
    """The balancer's context."""
    return Termination(*made_certificate(Path(tmp_path_factory.mktemp("tls"))))


@pytest.fixture
async def connect(stage: Stage, tls: Termination) -> Connect:
    """What makes a phone whose connection was just accepted."""
    accept = speaks_tls(stage.connections, tls)

    def connected(context: ssl.SSLContext | None = None) -> TlsPhone:
        server, wire = accept(), stage.transport()
        server.connection_made(wire)
        return TlsPhone(server, wire, context)

    return connected
