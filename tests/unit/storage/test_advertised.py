"""storage.advertised, and the balancer's copy: the host under which others reach a program that listens on all."""

import socket
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

import pytest

import lb.membership.announcing as balancers
from storage import advertised

BOTH = pytest.mark.parametrize("own_host", [advertised.own_host, balancers.own_host])
Own = Callable[..., str]


def names(*addresses: str) -> Callable[..., list[Any]]:
    """A resolver that gives the machine's name these addresses."""
    return lambda *_: [(None, None, None, "", (one, 0)) for one in addresses]


@BOTH
def test_a_host_stays_what_it_is(own_host: Own) -> None:
    """Loopback too: then it is for this machine alone."""
    for host in ("127.0.0.1", "10.0.0.1", "::1", "lb-1"):
        assert own_host(host) == host


@BOTH
def test_all_addresses_are_that_of_the_machine_s_name(own_host: Own) -> None:
    """As in a container, in the family that is listened on: "::" does not take IPv4."""
    assert own_host("0.0.0.0", names("10.1.2.3")) == "10.1.2.3"  # noqa: S104 - asked, not bound
    assert own_host("::", names("fd00::7")) == "fd00::7"


@BOTH
def test_a_name_that_means_loopback_is_not_told_to_other_machines(own_host: Own) -> None:
    """Debian writes 127.0.1.1 into /etc/hosts: every machine of a stack would be the same target."""
    found = own_host("0.0.0.0", names("127.0.1.1"))  # noqa: S104 - asked, not bound

    assert found == socket.gethostname() or not ip_address(found).is_loopback


@BOTH
@pytest.mark.parametrize("host", ["0.0.0.0", "::"])  # noqa: S104 - asked, not bound
def test_a_name_that_nobody_knows_ends_no_program(own_host: Own, host: str) -> None:
    """Its `/metrics` may not be found; that is no reason not to start."""

    def unknown(*_: object) -> list[Any]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    assert own_host(host, unknown)
