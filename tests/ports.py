"""Ports for the servers of tests, one way for all of them.

A port that is merely free now can be given to another server, or to an outgoing connection, before its own server
listens. These are reserved until the test process ends, as the stack reserves its own, see `deploy/ports.py`.
"""

from deploy.ports import Ports

_ports = Ports()


def free_port() -> int:
    """A loopback port on which no process listens, and which no other caller on this machine is given."""
    return _ports.free()
