"""lb.relay.ports: the real parts keep the promises that the fakes of other tests also keep."""

import inspect

import pytest

from lb.relay.client import Client
from lb.relay.connections import Connections
from lb.relay.exchange import Exchange
from lb.relay.ports import Downstream, Receiver, Registry


@pytest.mark.parametrize(("port", "part"), [(Downstream, Client), (Receiver, Exchange), (Registry, Connections)])
def test_each_part_has_its_ports_methods(port: type, part: type) -> None:
    """Same names, same parameters."""
    methods = {name: method for name, method in vars(port).items() if inspect.isfunction(method) and name[0] != "_"}

    assert methods
    for name, method in methods.items():
        assert list(inspect.signature(getattr(part, name)).parameters) == list(inspect.signature(method).parameters)
