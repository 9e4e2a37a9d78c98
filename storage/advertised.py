"""Under which host others reach a program that listens on all addresses of its machine, as in a container.

The balancer has a copy, because it imports no other package (`lb/membership/announcing.py`).
"""

import socket
from collections.abc import Callable
from contextlib import suppress
from ipaddress import ip_address
from typing import Any, Final

# An address for documentation, which nobody has: the system looks up its route, and nothing is sent.
ELSEWHERE: Final = {socket.AF_INET: "192.0.2.1", socket.AF_INET6: "2001:db8::1"}


def own_host(host: str, resolve: Callable[..., list[Any]] = socket.getaddrinfo) -> str:
    """The host; if it stands for all addresses, one of this machine, and its name where it has none but loopback.

    That of its name, or, where the name is unknown or means loopback (as on Debian), that of the default route.
    """
    if host not in {"0.0.0.0", "::"}:  # noqa: S104 - compared, not bound
        return host
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    name = socket.gethostname()
    found: list[str] = []
    with suppress(OSError, UnicodeError):
        found += [one[4][0] for one in resolve(name, None, family, socket.SOCK_STREAM)]
    with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as route:
        route.connect((ELSEWHERE[family], 9))
        found.append(route.getsockname()[0])
    return next((one for one in found if "%" not in one and not ip_address(one).is_loopback), name)
