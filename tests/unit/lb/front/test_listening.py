"""lb.front.listening: sockets and prefaces; clients on them are in tests/e2e/http/test_lb_front.py."""

import asyncio
import socket

import pytest

from lb.front.listening import opened, read_proxy_header, url
from lb.http1.proxy_protocol import ProxyError


async def test_a_port_that_is_taken_is_an_error() -> None:
    """Sockets are listening and non-blocking; the second on the same port says why not."""
    [sock] = await opened("127.0.0.1", 0)
    assert sock.getblocking() is False
    with pytest.raises(OSError, match="in use"):
        await opened(*sock.getsockname())
    sock.close()


async def test_a_preface_is_read_to_its_last_byte_and_no_further() -> None:
    """What follows the header stays in the socket for TLS or HTTP."""
    near, far = socket.socketpair()
    near.setblocking(False)
    header = b"PROXY TCP4 10.1.2.3 10.0.0.1 1 2\r\n"
    reading = asyncio.gather(read_proxy_header(near))
    for byte in header + b"GET":
        far.send(bytes([byte]))
        await asyncio.sleep(0)
    assert await reading == ["10.1.2.3"]
    assert near.recv(9) == b"GET"
    far.close()
    with pytest.raises(ProxyError):
        await read_proxy_header(near)
    near.close()


def test_addresses_are_shown_as_urls() -> None:
    """IPv6 gets its brackets."""
    assert url(("127.0.0.1", 80)) == "http://127.0.0.1:80"
    assert url(("::1", 80)) == "http://[::1]:80"
