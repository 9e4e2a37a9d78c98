"""lb.front.tls_transport: the handshake, records cut anywhere, pressure, and both ways to end."""

import asyncio
import ssl

import pytest

from lb.config import Config
from lb.front.tls_transport import READ_BYTES
from tests.certificates import trusting
from tests.unit.lb.conftest import Stage
from tests.unit.lb.front.conftest import Connect
from tests.unit.lb.front.tls_phone import client_of

GET = b"GET /x HTTP/1.1\r\nHost: h\r\n\r\n"
POST = b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
ALERT = b"\x15"  # The first byte of its record.

pytestmark = pytest.mark.asyncio


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_request_and_its_answer(stage: Stage, connect: Connect, version: ssl.TLSVersion) -> None:
    """The handshake counts as expected, and then there is a client; both versions."""
    context = trusting()
    context.maximum_version = version
    phone = connect(context)
    assert (stage.connections.expected, len(stage.connections.clients)) == (1, 0)
    phone.shake()
    assert (stage.connections.expected, len(stage.connections.clients)) == (0, 1)
    if version is ssl.TLSVersion.TLSv1_2:
        phone.shake()  # The server's word is the last.
    phone.deliver(phone.encrypted(GET))
    link, sent = stage.link(client_of(stage))
    link.data_received(OK)

    assert sent.written.startswith(b"GET /x HTTP/1.1\r\n")
    assert phone.heard().endswith(b"ok")
    assert client_of(stage).idle


async def test_the_session_ticket_goes_with_the_answer(stage: Stage, connect: Connect) -> None:
    """It costs no write of its own, and resumes the session."""
    phone = connect()
    phone.shake()
    assert phone.wire.take() == b""
    phone.deliver(phone.encrypted(GET))
    stage.link(client_of(stage))[0].data_received(OK)
    phone.heard()

    assert phone.tls.session.has_ticket


async def test_too_many_connections_end_without_a_handshake(stage: Stage, connect: Connect) -> None:
    """One that is expected counts as one that is there."""
    stage.connections.clients.update(object() for _ in range(stage.config.connections_max - 1))

    assert not connect().wire.aborted
    assert connect().wire.aborted
    assert stage.connections.expected == 1


@pytest.mark.parametrize("said", [b"", GET, b"\x16\x03\x01\x00\x05hello", b"\x16\x03\x01\xff\xff" + bytes(3000)])
async def test_who_speaks_no_tls_is_counted_and_ended(stage: Stage, connect: Connect, said: bytes) -> None:
    """Nothing, plain HTTP, a malformed first record; then the connection ends."""
    phone = connect()
    if said:
        phone.deliver(said)
        assert phone.wire.closed
        assert phone.wire.written[:1] in {b"", ALERT}
    assert phone.server.eof_received() is False
    phone.server.connection_lost(None)

    assert stage.connections.expected == 0
    assert stage.context.counters.heads_refused == 1


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated:DeprecationWarning")
async def test_an_old_version_is_told_why(connect: Connect) -> None:
    """By an alert."""
    context = trusting()
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    phone = connect(context)

    with pytest.raises(ssl.SSLError, match="protocol version"):
        phone.shake()


async def test_a_forged_record_ends_the_connection(stage: Stage, connect: Connect) -> None:
    """With an alert, and the request is over."""
    phone = connect()
    phone.shake()
    phone.deliver(phone.encrypted(POST % 9))
    stage.link(client_of(stage))
    phone.deliver(phone.encrypted(b"123456789")[:-1] + b"!")

    assert phone.wire.closed
    phone.server.connection_lost(None)
    assert stage.connections.clients == set()


async def test_a_paused_client_gets_nothing_more(stage: Stage, connect: Connect) -> None:
    """Records that were read but not passed on wait here, and go on when the node takes bytes again."""
    phone = connect()
    phone.shake()
    phone.deliver(phone.encrypted(b"POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"))
    client = client_of(stage)
    link, sent = stage.link(client)
    assert phone.wire.reading
    take, full = sent.write, [0, 1]

    def write(data: bytes) -> None:
        take(data)
        if full.pop():
            link.pause_writing()

    sent.write = write
    body = b"1\r\nx\r\n" * 8000 + b"0\r\n\r\n"
    phone.deliver(phone.encrypted(body))
    received = client.exchange.received
    assert 0 < received < len(body)
    assert not phone.wire.reading
    link.resume_writing()
    assert client.exchange.received == received
    await asyncio.sleep(0)

    assert client.exchange.received == len(body)
    assert phone.wire.reading


async def test_the_phone_may_end_its_side_before_the_answer(stage: Stage, connect: Connect) -> None:
    """By close_notify or by FIN alone: a complete request is answered."""
    for ends in (lambda phone: phone.deliver(phone.notified()), lambda phone: phone.server.eof_received()):
        phone = connect()
        phone.shake()
        phone.deliver(phone.encrypted(GET))
        client = client_of(stage)
        link = stage.link_of(client) or stage.link(client)[0]
        await asyncio.sleep(0)  # Reading was paused while there was no connection to a node.
        ends(phone)
        assert not phone.wire.closed
        link.data_received(OK)
        assert phone.heard().endswith(b"ok<end>")
        assert phone.wire.closed
        phone.server.connection_lost(None)


async def test_requests_before_the_end_are_all_answered(stage: Stage, connect: Connect) -> None:
    """Two requests and close_notify in one read: the end is told after the second was taken."""
    phone = connect()
    phone.shake()
    phone.deliver(phone.encrypted(GET + GET) + phone.notified())
    client = client_of(stage)
    stage.link(client)
    for _ in range(2):
        assert not phone.wire.closed
        stage.link_of(client).data_received(OK)
        await asyncio.sleep(0)

    assert phone.heard().count(b"200 OK") == 2
    assert phone.wire.closed


async def test_a_phone_that_ends_within_its_body_has_left(stage: Stage, connect: Connect) -> None:
    """Nothing is forwarded after that."""
    phone = connect()
    phone.shake()
    phone.deliver(phone.encrypted(POST % 9 + b"1234"))
    _, sent = stage.link(client_of(stage))
    phone.deliver(phone.notified())

    assert sent.aborted
    assert phone.wire.closed


async def test_an_early_answer_leaves_a_half_closed_connection(stage: Stage, connect: Connect) -> None:
    """The answer, close_notify, FIN; what still comes is counted without being decrypted, up to the limit."""
    phone = connect()
    phone.shake()
    phone.deliver(phone.encrypted(POST % 10**8 + b"x"))
    link, _ = stage.link(client_of(stage))
    link.data_received(b"HTTP/1.1 413 No\r\nContent-Length: 2\r\n\r\nno")
    assert phone.heard().endswith(b"no<end>")
    assert (phone.wire.ended, phone.wire.closed) == (True, False)
    for _ in range(stage.config.linger_bytes_max // READ_BYTES):
        phone.deliver(bytes(READ_BYTES))
    assert not phone.wire.aborted
    phone.deliver(b"x")

    assert phone.wire.aborted
    assert phone.server.is_closing()


async def test_a_connection_that_we_close_is_read_until_the_phone_ends_it(stage: Stage, connect: Connect) -> None:
    """Its close_notify may be on its way; the kernel would answer it with a reset, which destroys the answer."""
    phone = connect()
    phone.shake()
    phone.deliver(phone.encrypted(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")))
    client = client_of(stage)
    stage.link(client)[0].data_received(OK)
    assert phone.heard().endswith(b"ok<end>")
    assert (phone.wire.ended, phone.wire.closed, phone.wire.reading) == (True, False, True)
    assert phone.server.is_closing()
    phone.deliver(phone.encrypted(GET) + phone.notified())
    client.write(b"late")
    phone.server.close()
    assert phone.wire.written == b""
    assert phone.server.eof_received() is False
    phone.server.connection_lost(None)

    assert stage.connections.clients == set()


async def test_a_phone_that_never_ends_its_side_is_left_after_a_moment(stage: Stage, connect: Connect) -> None:
    """What waits is still written first: the socket is closed, not aborted."""
    stage.context.config = Config(linger_idle_s=0.01)
    phone = connect()
    phone.shake()
    phone.server.close()
    assert not phone.wire.closed
    async with asyncio.timeout(30):
        while not phone.wire.closed:  # noqa: ASYNC110 - the loop's timer is the event
            await asyncio.sleep(0)

    assert not phone.wire.aborted
