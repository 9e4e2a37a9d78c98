"""The raw cases of HTTP over TLS, a byte a record too; half-closes; sessions; plain HTTP beside it.

The tables are those of the tests without TLS: what a balancer refuses and passes must not depend on it.
"""

import asyncio
import os
import signal
import socket
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from tests.certificates import DAYS, made_certificate, trusting
from tests.e2e.http import test_lb_framing as framing
from tests.e2e.http import test_lb_heads as heads
from tests.e2e.http.recorder import Case, Recorder, check, recorded, statuses
from tests.e2e.test_lb_harness import PATIENCE_S, Balancer
from tests.e2e.test_lb_processes import group, node, ready, requests_of
from tests.ports import free_port

pytestmark = pytest.mark.e2e

CASES: dict[str, Case] = {
    **{f"framing: {name}": Case(raw) for name, raw in framing.REFUSED.items()},
    **{f"chunks: {name}": Case(framing.CHUNKED + raw) for name, raw in framing.BAD_CHUNKS.items()},
    **{f"framing: {name}": case for name, case in framing.PASSED.items()},
    **{f"head: {name}": Case(raw) for name, raw in heads.REFUSED.items()},
    **{f"head: {name}": case for name, case in heads.OTHERS.items()},
}


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """The command line's part."""
    cert, key = made_certificate(Path(tmp_path_factory.mktemp("tls")))
    return "--tls-cert", cert, "--tls-key", key


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pair(options: tuple[str, ...]) -> AsyncIterator[tuple[Recorder, Balancer]]:
    """A recording node and the balancer in front of it, which speaks TLS."""
    async with recorded(*options) as made:
        yield made


async def play_tls(port: int, raw: bytes, *, bytewise: bool) -> bytes:
    """As `play`, each piece as a record of its own, and the end by close_notify and FIN; asyncio's TLS cannot do so."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = trusting().wrap_bio(incoming, outgoing)
    try:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                with suppress(ssl.SSLWantReadError):
                    tls.do_handshake()
                    break
                writer.write(outgoing.read())
                incoming.write(await reader.read(65536))
            for piece in (raw[n : n + 1] for n in range(len(raw))) if bytewise else (raw,):
                tls.write(piece)
                writer.write(outgoing.read())
                await asyncio.sleep(0)
            with suppress(ssl.SSLWantReadError):
                tls.unwrap()
            writer.write(outgoing.read())
            with suppress(OSError):
                await writer.drain()
                writer.write_eof()
            incoming.write(await reader.read())
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
    found = b""
    with suppress(
        ssl.SSLZeroReturnError
    ):  # The balancer said close_notify too; else this fails: something was cut off.
        while True:
            found += tls.read(65536)
    return found


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("bytewise", [False, True], ids=["whole", "bytewise"])
@pytest.mark.parametrize("name", CASES)
async def test_http_is_the_same_over_tls(pair: tuple[Recorder, Balancer], name: str, bytewise: bool) -> None:  # noqa: FBT001
    """What a client reads and what the node sees, case by case."""
    await check(*pair, CASES[name], bytewise=bytewise, play=play_tls)


def ask(
    port: int, context: ssl.SSLContext, session: ssl.SSLSession | None = None
) -> tuple[ssl.SSLSession | None, bool, bytes | None]:
    """Answered on a new connection: its session, whether it was resumed, and the certificate that was shown."""
    with (
        socket.create_connection(("127.0.0.1", port), PATIENCE_S) as sock,
        context.wrap_socket(sock, session=session) as wrapped,
    ):
        wrapped.sendall(b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
        assert wrapped.recv(65536).startswith(b"HTTP/1.1 200 ")
        return wrapped.session, wrapped.session_reused, wrapped.getpeercert(binary_form=True)


async def test_sessions_resume_at_any_process(options: tuple[str, ...]) -> None:
    """The context is made before the fork, so a ticket of one process is good at the other."""
    async with node() as option, group("--listen", "127.0.0.1:0", option, *options) as lb:
        assert lb.stderr
        _, url, admins = await ready(lb.stderr, 2)
        port, context = int(url.rpartition(":")[2]), trusting()
        session, reused, _ = await asyncio.to_thread(ask, port, context)
        assert not reused
        for _ in range(20):
            session, reused, _ = await asyncio.to_thread(ask, port, context, session)
            assert reused
        assert min([await requests_of(admin) for admin in admins]) > 0


async def test_another_type_of_key_is_shown_by_all_processes(tmp_path: Path) -> None:
    """To clients that prefer the former type too; also by a process that is forked afterwards; sessions stay good."""
    cert, key = made_certificate(tmp_path)
    files = ("--tls-cert", cert, "--tls-key", key)
    async with node() as option, group("--listen", "127.0.0.1:0", option, *files) as lb:
        assert lb.stderr
        pids, url, _ = await ready(lb.stderr, 2)
        port, context = int(url.rpartition(":")[2]), trusting()
        old = trusting()
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        sessions = [(one, (await asyncio.to_thread(ask, port, one))[0]) for one in (context, old)]
        (tmp_path / "new").mkdir()
        for new, file in zip(made_certificate(tmp_path / "new", "rsa"), (cert, key), strict=True):
            Path(new).replace(file)
        wanted = ssl.PEM_cert_to_DER_cert(Path(cert).read_text())
        for _ in range(2):
            while b"the certificate was read again" not in (line := await lb.stderr.readline()):
                assert line
        os.kill(pids[0], signal.SIGKILL)
        await ready(lb.stderr, 1)
        for _ in range(10):
            for one, session in sessions:
                assert (await asyncio.to_thread(ask, port, one))[2] == wanted
                assert (await asyncio.to_thread(ask, port, one, session))[1]


@pytest.mark.parametrize("days", [2, DAYS])
async def test_the_end_of_the_certificate_is_told(tmp_path: Path, days: int) -> None:
    """As a metric, and by a warning at start if it is near."""
    cert, key = made_certificate(tmp_path, days=days)
    async with recorded("--tls-cert", cert, "--tls-key", key) as (_, balancer):
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{balancer.admin}/metrics") as answer,
        ):
            said = await answer.text()
        warned = [line for line in balancer.log if "WARNING" in line and "the certificate expires on" in line]
    [line] = [line for line in said.splitlines() if line.startswith("snapsurge_lb_certificate_expires_seconds ")]

    assert len(warned) == (days == 2)
    assert abs(float(line.split()[1]) - time.time() - days * 86400) < 3600


async def test_plain_http_beside_tls_is_sent_on_to_it(options: tuple[str, ...]) -> None:
    """With the same path and method, to the port that clients see; the body is dropped, and the answer arrives."""
    port = free_port()
    async with recorded(
        *options, "--redirect-http", f"127.0.0.1:{port}", SNAPSURGE_LB_HTTPS_PORT="8443", SNAPSURGE_LB_HEAD_S="2"
    ) as (recorder, _):
        async with aiohttp.ClientSession() as session, asyncio.timeout(PATIENCE_S):
            for body in (b"", bytes(900_000)):
                url = f"http://127.0.0.1:{port}/x?y=1"
                async with session.post(url, data=body, allow_redirects=False) as answer:
                    assert (answer.status, answer.headers["Location"]) == (308, "https://127.0.0.1:8443/x?y=1")
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nHost : a\r\n\r\n")
        async with asyncio.timeout(PATIENCE_S):
            assert statuses(await reader.read()) == (400,)
            writer.close()
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            with suppress(ConnectionResetError):
                assert await reader.read() == b""  # Who says nothing has the time of a head.
            writer.close()
        assert recorder.seen == []
