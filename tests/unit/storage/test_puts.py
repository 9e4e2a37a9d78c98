"""PUTs on a real MinIO: the body as it was given, and a store that says later, or something else, or nothing."""

import asyncio
import contextlib
import zlib
from base64 import b64encode
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest

from storage.puts import Answer, Puts
from storage.s3 import S3Address, S3Store

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
LATER = b"HTTP/1.1 503 x\r\nContent-Length: 40\r\n\r\n<Error><Code>SlowDown</Code></Error>    "
EXISTS = b"HTTP/1.1 412 x\r\nContent-Length: 40\r\n\r\n<Code>PreconditionFailed</Code>         "
GARBLED = b"HTTP/1.1 400 x\r\nContent-Length: 40\r\n\r\n<Code>XAmzContentChecksumMismatch</Code>"
ODD = b"HTTP/1.1 202 x\r\nContent-Length: 0\r\n\r\n"
DENIED = b"HTTP/1.1 403 x\r\nTransfer-Encoding: chunked\r\n\r\n19\r\n<Code>AccessDenied</Code>\r\n0\r\n\r\n"


class Credentials:
    """As botocore gives them; the token comes with temporary ones."""

    def __init__(self, token: str | None = None) -> None:
        self.token = token

    async def get_frozen_credentials(self) -> SimpleNamespace:
        """Never the same object twice, for they may be renewed."""
        return SimpleNamespace(access_key="a", secret_key="s", token=self.token)


class Store:
    """Answers each PUT by the next of its answers (b"" hangs up), and keeps heads and bodies."""

    def __init__(self, answers: Sequence[bytes]) -> None:
        self.answers, self.heads, self.bodies = list(answers), list[bytes](), list[bytes]()
        self.serving: list[asyncio.Task[None] | None] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.serving.append(asyncio.current_task())
        try:
            while self.answers:
                head = await reader.readuntil(b"\r\n\r\n")
                self.heads.append(head.lower())
                length = int(self.heads[-1].split(b"content-length: ")[1].split(b"\r\n")[0])
                self.bodies.append(await reader.readexactly(length))
                said = self.answers.pop(0)
                if not said:
                    break
                writer.write(said)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


def puts_at(endpoint: str, token: str | None = None, ca_file: str = "") -> Puts:
    """Puts at that address."""
    limits = {"connections_max": 2, "connect_timeout_s": 2.0, "read_timeout_s": 5.0}
    return Puts(endpoint, "b", "us-east-1", Credentials(token), ca_file=ca_file, **limits)  # type: ignore[arg-type]


@asynccontextmanager
async def puts_to(store: Store, token: str | None = None) -> AsyncIterator[Puts]:
    """Puts at that store."""
    server = await asyncio.start_server(store.serve, "127.0.0.1", 0)
    puts = puts_at("http://127.0.0.1:{1}".format(*server.sockets[0].getsockname()), token)
    try:
        yield puts
    finally:
        puts.close()
        server.close()
        await asyncio.gather(*(task for task in store.serving if task))


async def test_a_body_in_parts_is_one_object_and_its_sum_is_announced() -> None:
    """Head, length, condition and CRC-32 of all parts; nothing is asked for in advance."""
    store = Store([OK])
    async with puts_to(store) as puts:
        answer = await puts.create("a7/x", [b"one", memoryview(b"-two-")[1:4], bytearray(b"")], 1)

    assert (answer, store.bodies) == (Answer(200), [b"onetwo"])
    crc = b64encode(zlib.crc32(b"onetwo").to_bytes(4, "big")).lower()
    assert all(line in store.heads[0] for line in (b"put /b/a7/x http/1.1", b"if-none-match: *", b"crc32: " + crc))
    assert b"expect" not in store.heads[0]


async def test_temporary_keys_bring_their_token() -> None:
    """The store knows such keys by it alone."""
    store = Store([OK])
    async with puts_to(store, token="t0ken") as puts:
        await puts.create("x", [b"1"], 1)

    assert b"x-amz-security-token: t0ken\r\n" in store.heads[0]


@pytest.mark.parametrize(
    ("endpoint", "place"),
    [
        ("https://s3.eu-west-1.amazonaws.com", ("s3.eu-west-1.amazonaws.com", 443, True)),
        ("http://minio", ("minio", 80, False)),
        ("https://minio:9000", ("minio", 9000, True)),
    ],
)
def test_a_store_is_reached_where_its_address_says(
    monkeypatch: pytest.MonkeyPatch, endpoint: str, place: tuple[str, int, bool]
) -> None:
    """With TLS where it says https, at that scheme's port unless it says another."""
    made: list[tuple[str, int, bool]] = []

    def wires(host: str, port: int, tls: object, **_: object) -> None:
        made.append((host, port, tls is not None))

    monkeypatch.setattr("storage.puts.Wires", wires)
    puts_at(endpoint)

    assert made == [place]


def test_another_authority_is_believed_where_it_is_named() -> None:
    """A file that is not there is an error at start."""
    with pytest.raises(FileNotFoundError):
        puts_at("https://minio:9000", ca_file="/nowhere/ca.pem")


@pytest.mark.parametrize("trouble", [LATER, GARBLED, b""])
async def test_trouble_that_passes_is_tried_again_with_the_same_bytes(trouble: bytes) -> None:
    """SlowDown, a body garbled on its way, a connection that broke: then it went well."""
    store = Store([trouble, OK])
    async with puts_to(store) as puts:
        assert await puts.create("x", [b"same"], 2) == Answer(200)

    assert store.bodies == [b"same"] * 2


@pytest.mark.parametrize(
    ("status", "code", "worth"),
    [
        *((status, "", True) for status in (429, 500, 502, 503, 504)),
        *((400, code, True) for code in ("RequestTimeout", "BadDigest", "IncompleteBody")),
        (400, "XAmzContentChecksumMismatch", True),
        (409, "ConditionalRequestConflict", True),
        *((status, "", False) for status in (400, 403, 404, 409, 412, 501, 507)),
    ],
)
def test_what_is_worth_a_retry(status: int, code: str, *, worth: bool) -> None:
    """Later, garbled, or crossed by a delete; what says no says it to the next try too."""
    assert Answer(status, code).worth_a_retry is worth


async def test_pauses_double_up_to_a_bound_and_are_spread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Anything from nothing on, so that clients which failed together do not come back together."""
    asked: list[tuple[float, float]] = []

    def uniform(least: float, most: float) -> float:
        asked.append((least, most))
        return 0.0

    monkeypatch.setattr("storage.puts.random", SimpleNamespace(uniform=uniform))
    async with puts_to(Store([LATER] * 7)) as puts:
        await puts.create("x", [b"1"], 7)

    assert asked == [(0, bound) for bound in (0.2, 0.4, 0.8, 1.6, 3.2, 5.0)]


@pytest.mark.parametrize(
    ("answers", "attempts", "status", "code"),
    [
        ([LATER, LATER], 2, 503, "SlowDown"),
        ([EXISTS], 3, 412, "PreconditionFailed"),
        ([b"", EXISTS], 3, 412, "PreconditionFailed"),
        ([DENIED], 3, 403, "AccessDenied"),
        ([ODD], 3, 202, "202"),
    ],
)
async def test_the_last_answer_counts(answers: list[bytes], attempts: int, status: int, code: str) -> None:
    """Later for ever, there already (at once, or after a try of ours that broke), refused, and a success of no kind."""
    store = Store(answers)
    async with puts_to(store) as puts:
        answer = await puts.create("x", [b"1"], attempts)

    assert (answer.status, answer.code, store.answers) == (status, code, [])


async def test_a_store_that_hangs_up_each_time_is_an_error() -> None:
    """As many tries as were given, then OSError."""
    store = Store([b"", b"", OK])
    async with puts_to(store) as puts:
        with pytest.raises(OSError, match=r".*"):
            await puts.create("x", [b"1"], 2)

    assert len(store.bodies) == 2


async def test_minio_refuses_a_body_that_does_not_fit_its_sum(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A CRC-32 that is wrong: the real store says so and keeps nothing."""
    async with S3Store(S3Address.parse(s3_url)) as store:
        monkeypatch.setattr("storage.puts.isal_zlib", SimpleNamespace(crc32=lambda part, crc: 7))
        answer = await store._puts.create("a7/x", [b"bytes"], 1)

        assert (answer.status, answer.code) == (400, "XAmzContentChecksumMismatch")
        assert not await store.exists("a7/x")
