"""lb.front.tls_transport with lb.relay.waking: nothing waits in the kernel for bytes that never come."""

import asyncio
import random
import ssl

import pytest

from lb.relay.waking import PIECE_BYTES, WAKE_BYTES
from tests.certificates import trusting
from tests.unit.lb.conftest import Stage
from tests.unit.lb.front.conftest import Connect
from tests.unit.lb.front.tls_phone import client_of

GET = b"GET /x HTTP/1.1\r\nHost: h\r\n\r\n"
POST = b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n"
CHUNKED = b"POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

pytestmark = pytest.mark.asyncio


@pytest.mark.parametrize("segment_bytes", [100, 1400, 4118, 9000])
@pytest.mark.parametrize("record_bytes", [1, 100, 4096, 5000, 16384])
@pytest.mark.parametrize("tls_version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_no_body_waits_for_bytes_that_never_come(
    stage: Stage, connect: Connect, record_bytes: int, segment_bytes: int, tls_version: ssl.TLSVersion
) -> None:
    """Whatever the sizes of records and segments: the whole body arrives, in far fewer reads than segments."""
    context = trusting()
    context.maximum_version = tls_version
    phone = connect(context)
    phone.shake()
    body = random.Random(record_bytes).randbytes(3000 if record_bytes == 1 else 3 * WAKE_BYTES + 777)
    phone.deliver(phone.encrypted(POST % len(body) + body[:1]))
    _, sent = stage.link(client_of(stage))
    raw = phone.encrypted(body[1:], record_bytes)
    reads = phone.arrive(raw, segment_bytes)

    assert phone.wakes_at() == 1
    assert sent.written.endswith(body)
    assert reads <= 2 * len(raw) / WAKE_BYTES + 4 or segment_bytes > PIECE_BYTES or record_bytes == 1


async def settled() -> None:
    """What was put off to the next turns of the loop has run."""
    for _ in range(4):
        await asyncio.sleep(0)


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("seed", range(60))
async def test_a_request_behind_a_body_waits_for_nothing(
    stage: Stage,
    connect: Connect,
    seed: int,
    chunked: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """Records and segments of any size, and the last bytes apart: once the body has ended, every byte wakes again."""
    rng = random.Random(seed)
    phone = connect()
    phone.shake()
    body = bytes(rng.choice([5, 300, 3000, 20000]))
    start, said = (CHUNKED, b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)) if chunked else (POST % len(body), body)
    phone.deliver(phone.encrypted(start + said[:1]))
    client = client_of(stage)
    link, _ = stage.link(client)
    stream, tail_bytes = said[1:] + GET, rng.choice([40, 60, 100, 500])
    raw = phone.encrypted(stream[:-tail_bytes], rng.choice([1000, 16384]))
    raw += phone.encrypted(stream[-tail_bytes:], rng.choice([1, 5, 30]))
    cut = len(raw) - rng.choice([1, 5, 17])
    first = client.exchange
    phone.arrive(raw[:cut], rng.choice([7, 200, 700, 1400]))
    if first.request_done:  # else its last bytes are in the last record, too
        link.data_received(OK)
        await settled()
    phone.arrive(raw[cut:], len(raw))
    if client.exchange is first:
        assert first.request_done
        link.data_received(OK)
    await settled()

    assert client.exchange, "the second request was not read"
    assert client.exchange.request_done


@pytest.mark.parametrize("record_bytes", [5, 100, 5000])
async def test_what_is_left_of_a_refused_body_waits_for_nothing(
    stage: Stage, connect: Connect, record_bytes: int
) -> None:
    """It is read and dropped piece by piece, wherever a record was cut when the answer came."""
    for cut in (3000, 3001, 3007, 4000):
        phone = connect()
        phone.shake()
        phone.deliver(phone.encrypted(POST % 20000 + b"x"))
        client = phone.server._client
        link, _ = stage.link(client)
        phone.deliver(phone.encrypted(bytes(19000), record_bytes)[:cut])
        assert phone.wakes_at() > 1
        link.data_received(b"HTTP/1.1 413 No\r\nContent-Length: 2\r\n\r\nno")
        assert phone.wakes_at() == 1
        phone.server.connection_lost(None)


async def test_a_record_that_is_longer_than_what_is_left(stage: Stage, connect: Connect) -> None:
    """As all are: once it has begun, its own end is waited for. The balancer is woken twice for it."""
    phone = connect()
    phone.shake()
    phone.deliver(phone.encrypted(POST % 4097 + b"x"))
    _, sent = stage.link(client_of(stage))
    reads = phone.arrive(phone.encrypted(b"y" * 4096), 1)

    assert phone.wakes_at() == 1
    assert sent.written.endswith(b"x" + b"y" * 4096)
    assert reads == 2
