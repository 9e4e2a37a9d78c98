"""Connections over TLS and a socket, with credentials, to a real server; what refusals do: test_refusals.py."""

import contextlib
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis.exceptions import RedisError

from deploy.servers import redis_program
from storage.config import Config
from storage.opening import redis_client
from tests.ports import free_port


def made(folder: Path, name: str, *signed_by: str) -> None:
    """A key and a certificate for 127.0.0.1, of itself or signed."""
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", f"/CN={name}")
    names = ("-addext", "subjectAltName=IP:127.0.0.1")
    files = ("-keyout", str(folder / f"{name}.key"), "-out", str(folder / f"{name}.crt"))
    command = ("openssl", "req", "-x509", *curve, *names, *files, *signed_by)
    subprocess.run(command, check=True, capture_output=True)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, int]]:
    """A Redis with a socket, TLS that wants a client's certificate, and a user; its folder and its TLS port."""
    folder, port, plain = tmp_path_factory.mktemp("tls"), free_port(), free_port()
    if not shutil.which("openssl"):
        pytest.skip("no openssl command to make a certificate with: apt-get install openssl")
    made(folder, "ca")
    for name in ("server", "client"):
        made(folder, name, "-CA", str(folder / "ca.crt"), "-CAkey", str(folder / "ca.key"))
    tls = ["--tls-port", str(port), "--tls-ca-cert-file", str(folder / "ca.crt")]
    tls += ["--tls-cert-file", str(folder / "server.crt"), "--tls-key-file", str(folder / "server.key")]
    command = [redis_program(), "--port", str(plain), "--bind", "127.0.0.1", *tls, "--dir", str(folder), "--save", ""]
    command += ["--unixsocket", str(folder / "s"), "--user", *["me", "on", ">open-sesame", "~*", "&*", "+@all"]]
    log = folder / "log"
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output) as process:
        try:
            while b"Ready to accept connections" not in log.read_bytes():  # pytest-timeout bounds the wait
                if process.poll() is not None:
                    assert b"TLS" in log.read_bytes(), log.read_text()
                    pytest.skip("this Redis was built without TLS; Debian's redis-server has it")
            yield folder, port
        finally:
            process.terminate()


@contextlib.asynccontextmanager
async def opened(url: str):  # type: ignore[no-untyped-def] # noqa: ANN201 - a client
    """Of this address, as every program opens it."""
    client = redis_client(Config(redis_url=url))
    try:
        yield client
    finally:
        await client.aclose()


def tls_url(folder: Path, port: int, more: str = "", host: str = "127.0.0.1") -> str:
    """With both sides' certificates."""
    files = f"ssl_ca_certs={folder}/ca.crt&ssl_certfile={folder}/client.crt&ssl_keyfile={folder}/client.key"
    return f"rediss://me:open-sesame@{host}:{port}/1?{files}{more}"


async def test_tls_works_with_certificates_of_both_sides(server: tuple[Path, int]) -> None:
    """Over several connections, which share what is dear to make."""
    async with opened(tls_url(*server)) as client:
        assert await client.set("a", "1")
        first, second = client.connection_pool.make_connection(), client.connection_pool.make_connection()
        assert first.ssl_context is second.ssl_context
        assert first.ssl_context.get().verify_mode is ssl.CERT_REQUIRED


async def test_a_certificate_for_another_host_is_refused(server: tuple[Path, int]) -> None:
    """redis-py would take any that the authority has signed; only who says so gets that."""
    async with opened(tls_url(*server, host="localhost")) as client:
        with pytest.raises(RedisError, match="Hostname mismatch"):
            await client.ping()
    async with opened(tls_url(*server, "&ssl_check_hostname=no", host="localhost")) as client:
        assert await client.ping()


async def test_an_unknown_authority_and_a_missing_certificate_are_errors(server: tuple[Path, int]) -> None:
    """Either side may refuse; both are a RedisError, the one error that callers wait for."""
    folder, port = server
    for query in ("", f"ssl_ca_certs={folder}/ca.crt"):
        async with opened(f"rediss://me:open-sesame@127.0.0.1:{port}/0?{query}") as client:
            with pytest.raises(RedisError):
                await client.ping()


async def test_a_socket_works_with_credentials_and_database(server: tuple[Path, int]) -> None:
    """As parameters."""
    folder, _ = server
    async with opened(f"unix://{folder}/s?db=1&username=me&password=open-sesame") as client:
        await client.set("b", "1")
        assert (await client.info("keyspace")).keys() >= {"db1"}
    async with opened(f"unix://{folder}/s?username=me&password=guess") as client:
        with pytest.raises(RedisError, match="invalid username-password"):
            await client.ping()
