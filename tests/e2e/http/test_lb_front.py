"""What stands in front of a balancer: TLS, the PROXY protocol, another balancer that is trusted or is not."""

import asyncio
import contextlib
import socket
import ssl
from ipaddress import ip_address
from pathlib import Path

import aiohttp
import pytest

from lb.http1.proxy_protocol import SIGNATURE
from tests.certificates import make_certificate, trusting
from tests.e2e.http.recorder import LAST, Recorder, play, recorded, statuses
from tests.e2e.test_lb_harness import PATIENCE_S, balancer, raw_node, status_of, until

pytestmark = pytest.mark.e2e

ME = "127.0.0.1/32"
SPOKEN = b"GET /x HTTP/1.1\r\nHost: a\r\nSnapsurge-Received-At: 1700000000000\r\nSnapsurge-Retry: 1\r\n"
CLAIMS = (
    SPOKEN
    + b"X-Forwarded-For: 10.0.0.7\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: b\r\nConnection: close\r\n\r\n"
)


@pytest.fixture
def pem(tmp_path: Path) -> tuple[Path, Path]:
    """A fresh ECDSA P-256 certificate for `localhost`, and its key."""
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    make_certificate(cert, key)
    return cert, key


async def serial_of(port: int) -> bytes:
    """The certificate a new connection is shown; the client offers HTTP/2 first."""
    context = trusting()
    context.set_alpn_protocols(["h2", "http/1.1"])
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == "http/1.1"
    writer.close()
    return shown


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated:DeprecationWarning")
async def test_tls_uploads_pass_and_reload_takes_effect(pem: tuple[Path, Path]) -> None:
    """Bodies arrive whole, early refusals too; old TLS and plain HTTP end cleanly; a new certificate is shown."""
    cert, key = pem
    body = bytes(3_000_000)

    async def node(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"\r\nX-Forwarded-Proto: https\r\n" in head
        if b"/refuse" not in head:
            assert await reader.readexactly(len(body)) == body
        writer.write(b"HTTP/1.1 %b No\r\nContent-Length: 4\r\n\r\ndone" % (b"413" if b"/refuse" in head else b"200"))
        writer.close()

    tls = ("--tls-cert", str(cert), "--tls-key", str(key))
    async with raw_node(node) as port, balancer(("a", port), extra=tls) as lb:
        for target, status in [(b"take", 200), (b"refuse", 413)] * 5:
            reader, writer = await asyncio.open_connection("127.0.0.1", lb.port, ssl=trusting())
            writer.write(
                b"POST /%b HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 3000000\r\n\r\n" % target
            )
            async with asyncio.timeout(PATIENCE_S):
                for start in range(0, len(body), 2**16):
                    writer.write(body[start : start + 2**16])
                    await writer.drain()
                answer = await reader.read()
            writer.close()
            assert (status_of(answer), answer[-4:]) == (status, b"done")
        old = trusting()
        old.minimum_version, old.maximum_version = ssl.TLSVersion.MINIMUM_SUPPORTED, ssl.TLSVersion.TLSv1_1
        old.set_ciphers("ALL:@SECLEVEL=0")
        with pytest.raises((ssl.SSLError, ConnectionResetError)):
            await asyncio.open_connection("127.0.0.1", lb.port, ssl=old)
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_2
        (await asyncio.open_connection("127.0.0.1", lb.port, ssl=old))[1].close()
        assert b"HTTP/1.1" not in await play(lb.port, LAST, bytewise=False)
        before = await serial_of(lb.port)
        key.write_text("no key")

        async def refused() -> bool:
            return "the old one stays in use" in (await lb.process.stderr.readline()).decode()

        await until(refused)
        assert await serial_of(lb.port) == before
        make_certificate(cert, key)

        async def changed() -> bool:
            return await serial_of(lb.port) != before

        await until(changed)


def version_1(address: str) -> bytes:
    """A v1 header."""
    kind = b"TCP6" if ":" in address else b"TCP4"
    return b"PROXY %b %b %b 1 2\r\n" % (kind, address.encode(), b"::1" if ":" in address else b"127.0.0.1")


def version_2(address: str) -> bytes:
    """A v2 header with a TLV."""
    packed = ip_address(address).packed
    block = packed + packed + b"\x00\x01\x00\x02" + b"\x04\x00\x01x"
    return SIGNATURE + bytes([0x21, 0x11 if len(packed) == 4 else 0x21]) + len(block).to_bytes(2, "big") + block


@pytest.mark.parametrize("bytewise", [False, True], ids=["whole", "bytewise"])
async def test_the_proxy_protocol_names_the_client(bytewise: bool, pem: tuple[Path, Path]) -> None:  # noqa: FBT001
    """Both versions, both families, before plain HTTP; who says nothing, or it wrongly, is not served."""
    recorder = Recorder()
    async with raw_node(recorder.serve) as port, balancer(("a", port), extra=["--proxy-protocol"]) as lb:
        for address in ("10.1.2.3", "2001:db8::1"):
            for header in (version_1(address), version_2(address)):
                recorder.clear()
                assert statuses(await play(lb.port, header + LAST, bytewise=bytewise)) == (200,)
                assert recorder.field_values(b"x-forwarded-for") == [address.encode()]
        recorder.clear()
        for local in (b"PROXY UNKNOWN\r\n", SIGNATURE + b"\x20\x00\x00\x00"):
            assert statuses(await play(lb.port, local + LAST, bytewise=bytewise)) == (200,)
        assert recorder.field_values(b"x-forwarded-for", 1) == [b"127.0.0.1"]
        recorder.clear()
        for bad in (
            b"",
            b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n",
            b"PROXY TCP4 256.2.3.4 1.2.3.4 1 2\r\n",
            SIGNATURE + b"\x31\x11",
        ):
            with contextlib.suppress(ConnectionError):
                assert await play(lb.port, bad + LAST, bytewise=bytewise) == b""
        assert recorder.seen == []


@pytest.mark.parametrize("front", ["tls", "proxy"])
async def test_connections_that_are_no_clients_yet_count_and_have_an_end(front: str, pem: tuple[Path, Path]) -> None:
    """Whoever begins no handshake, or no header, has a place for the head's time and no longer."""
    extra = ["--tls-cert", str(pem[0]), "--tls-key", str(pem[1])] if front == "tls" else ["--proxy-protocol"]
    settings = {"SNAPSURGE_LB_CONNECTIONS_MAX": "5", "SNAPSURGE_LB_HEAD_S": "2"}
    recorder = Recorder()
    async with (
        raw_node(recorder.serve) as port,
        balancer(("a", port), extra=extra, environment=settings) as lb,
        asyncio.timeout(PATIENCE_S),
    ):

        async def expected(count: int) -> None:
            async def holds() -> bool:
                url = f"http://127.0.0.1:{lb.admin}/metrics"
                async with aiohttp.ClientSession() as session, session.get(url) as answer:
                    return f"snapsurge_lb_expected {count}.0\n" in await answer.text()

            await until(holds)

        silent = [await asyncio.open_connection("127.0.0.1", lb.port) for _ in range(5)]
        await expected(5)
        reader, one_more = await asyncio.open_connection("127.0.0.1", lb.port)
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""
        for reader, writer in silent:
            with contextlib.suppress(ConnectionResetError):
                assert await reader.read() == b""
            writer.close()
        one_more.close()
        await expected(0)
        context = trusting() if front == "tls" else None
        reader, writer = await asyncio.open_connection("127.0.0.1", lb.port, ssl=context)
        writer.write((b"" if context else version_1("10.1.2.3")) + LAST)
        assert statuses(await reader.read()) == (200,)
        writer.close()


async def test_the_proxy_protocol_stands_before_tls(pem: tuple[Path, Path]) -> None:
    """The header in the clear, then the handshake."""
    recorder = Recorder()
    extra = ["--proxy-protocol", "--tls-cert", str(pem[0]), "--tls-key", str(pem[1])]
    async with raw_node(recorder.serve) as port, balancer(("a", port), extra=extra) as lb:

        def talk() -> bytes:
            with socket.create_connection(("127.0.0.1", lb.port), timeout=PATIENCE_S) as sock:
                sock.sendall(version_2("10.9.9.9"))
                with trusting().wrap_socket(sock) as wrapped:
                    wrapped.sendall(LAST)
                    found = b""
                    while data := wrapped.recv(65536):
                        found += data
                    return found

        assert statuses(await asyncio.to_thread(talk)) == (200,)
        assert recorder.field_values(b"x-forwarded-for") == [b"10.9.9.9"]


async def test_a_trusted_balancer_is_believed_and_no_one_else() -> None:
    """Behind two balancers the first one's time, client and protocol reach the node; without trust they do not."""
    async with recorded(SNAPSURGE_LB_TRUSTED_PEERS=ME) as (recorder, lb):
        assert statuses(await play(lb.port, CLAIMS, bytewise=True)) == (200,)
        assert recorder.field_values(b"snapsurge-received-at") == [b"1700000000000"]
        assert recorder.field_values(b"snapsurge-retry") == [b"1"]
        assert recorder.field_values(b"x-forwarded-for") == [b"10.0.0.7, 127.0.0.1"]
        assert recorder.field_values(b"x-forwarded-proto") == [b"https"]
        assert recorder.field_values(b"x-forwarded-host") == [b"b"]
        recorder.clear()
        async with balancer(("inner", lb.port)) as outer:
            await play(outer.port, LAST, bytewise=False)
        assert recorder.field_values(b"x-forwarded-for") == [b"127.0.0.1, 127.0.0.1"]
        assert recorder.field_values(b"via") == [b"1.1 snapsurge", b"1.1 snapsurge"]
    async with recorded(SNAPSURGE_LB_TRUSTED_PEERS="10.0.0.0/8, ::1/128") as (recorder, lb):
        await play(lb.port, CLAIMS, bytewise=False)
        assert recorder.field_values(b"snapsurge-received-at") != [b"1700000000000"]
        assert recorder.field_values(b"x-forwarded-for") == [b"127.0.0.1"]
