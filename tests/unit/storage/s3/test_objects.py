"""Calls about objects: a body as it was given, and a store that says later, or something else, or nothing."""

import asyncio
import contextlib
import zlib
from base64 import b64encode
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest

from storage.blobs import StoreUnavailable
from storage.s3.objects import Objects
from storage.s3.signing import Keys
from storage.s3.store import S3Address, S3Store

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
LATER = b"HTTP/1.1 503 x\r\nContent-Length: 40\r\n\r\n<Error><Code>SlowDown</Code></Error>    "
EXISTS = b"HTTP/1.1 412 x\r\nContent-Length: 40\r\n\r\n<Code>PreconditionFailed</Code>         "
GARBLED = b"HTTP/1.1 400 x\r\nContent-Length: 40\r\n\r\n<Code>XAmzContentChecksumMismatch</Code>"
ODD = b"HTTP/1.1 202 x\r\nContent-Length: 0\r\n\r\n"
DENIED = b"HTTP/1.1 403 x\r\nTransfer-Encoding: chunked\r\n\r\n19\r\n<Code>AccessDenied</Code>\r\n0\r\n\r\n"


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
                length = int((self.heads[-1] + b"content-length: 0").split(b"content-length: ")[1].split(b"\r\n")[0])
                self.bodies.append(await reader.readexactly(length))
                said = self.answers.pop(0)
                if not said:
                    break
                writer.write(said)
                if b"Connection: close" in said:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


def objects_by(*endpoints: str, attempts: int = 3, token: str | None = None, ca_file: str = "") -> Objects:
    """Calls to that address; temporary keys have a token."""

    async def keys() -> Keys:
        return Keys("a", "s", token)

    limits = {"connections_max": 2, "attempts_max": attempts}
    return Objects(
        endpoints, "b", "us-east-1", keys, connect_timeout_s=2.0, read_timeout_s=5.0, ca_file=ca_file, **limits
    )


@asynccontextmanager
async def listening(store: Store) -> AsyncIterator[str]:
    """The store's endpoint."""
    server = await asyncio.start_server(store.serve, "127.0.0.1", 0)
    try:
        yield "http://127.0.0.1:{1}".format(*server.sockets[0].getsockname())
    finally:
        server.close()
        await asyncio.gather(*(task for task in store.serving if task))


@asynccontextmanager
async def objects_at(store: Store, attempts: int = 3, token: str | None = None) -> AsyncIterator[Objects]:
    """Calls to that store."""
    async with listening(store) as endpoint, objects_by(endpoint, attempts=attempts, token=token) as objects:
        yield objects


async def test_a_body_in_parts_is_one_object_and_its_sum_is_announced() -> None:
    """Head, length, condition and CRC-32 of all parts; nothing is asked for in advance."""
    store = Store([OK])
    async with objects_at(store) as objects:
        answer = await objects.put("a7/x", [b"one", memoryview(b"-two-")[1:4], bytearray(b"")], {"if-none-match": "*"})

    assert (answer.status, store.bodies) == (200, [b"onetwo"])
    crc = b64encode(zlib.crc32(b"onetwo").to_bytes(4, "big")).lower()
    assert all(line in store.heads[0] for line in (b"put /b/a7/x http/1.1", b"if-none-match: *", b"crc32: " + crc))
    assert b"expect" not in store.heads[0]


async def test_temporary_keys_bring_their_token() -> None:
    """The store knows such keys by it alone."""
    store = Store([OK])
    async with objects_at(store, token="t0ken") as objects:
        await objects.put("x", [b"1"], {"if-none-match": "*"})

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

    def wires(host: str, port: int, tls: object, *_: object, **__: object) -> None:
        made.append((host, port, tls is not None))

    monkeypatch.setattr("storage.s3.endpoint.Wires", wires)
    objects_by(endpoint)

    assert made == [place]


def test_another_authority_is_believed_where_it_is_named() -> None:
    """A file that is not there is an error at start."""
    with pytest.raises(FileNotFoundError):
        objects_by("https://minio:9000", ca_file="/nowhere/ca.pem")


@pytest.mark.parametrize("trouble", [LATER, GARBLED, b""])
async def test_trouble_that_passes_is_tried_again_with_the_same_bytes(trouble: bytes) -> None:
    """SlowDown, a body garbled on its way, a connection that broke: then it went well."""
    store = Store([trouble, OK])
    async with objects_at(store) as objects:
        assert (await objects.put("x", [b"same"], {"if-none-match": "*"})).status == 200

    assert store.bodies == [b"same"] * 2


async def test_pauses_double_up_to_a_bound_and_are_spread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Anything from nothing on, so that clients which failed together do not come back together."""
    asked: list[tuple[float, float]] = []

    def uniform(least: float, most: float) -> float:
        asked.append((least, most))
        return 0.0

    monkeypatch.setattr("storage.s3.objects.random", SimpleNamespace(uniform=uniform))
    async with objects_at(Store([LATER] * 7), 7) as objects:
        await objects.put("x", [b"1"], {"if-none-match": "*"})

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
    async with objects_at(store, attempts) as objects:
        answer = await objects.put("x", [b"1"], {"if-none-match": "*"})

    assert (answer.status, answer.code, store.answers) == (status, code, [])


async def test_a_store_that_hangs_up_each_time_is_an_error() -> None:
    """As many tries as were given, then OSError."""
    store = Store([b"", b"", OK])
    async with objects_at(store, 2) as objects:
        with pytest.raises(OSError, match=r".*"):
            await objects.put("x", [b"1"], {"if-none-match": "*"})

    assert len(store.bodies) == 2


async def test_a_put_over_what_is_there_has_no_condition() -> None:
    """The other kind of PUT."""
    store = Store([OK])
    async with objects_at(store) as objects:
        await objects.put("x", [b"1"], {})

    assert b"if-none-match" not in store.heads[0]


async def test_each_call_is_its_method_and_its_path() -> None:
    """An object's bytes, whether it is there, its end, and the bucket itself; a path is escaped."""
    store = Store([b"HTTP/1.1 206 x\r\nContent-Length: 3\r\n\r\nabc", OK, b"HTTP/1.1 204 x\r\n\r\n", OK])
    async with objects_at(store) as objects:
        answers = [
            await objects.call("GET", "a7/x y", {"range": "bytes=0-2"}),
            await objects.call("HEAD", "a7/x"),
            await objects.call("DELETE", "a7/x"),
            await objects.call("HEAD", ""),
        ]

    assert [(one.status, one.body) for one in answers] == [(206, b"abc"), (200, b""), (204, b""), (200, b"")]
    lines = [head.split(b" http/1.1")[0] for head in store.heads]
    assert lines == [b"get /b/a7/x%20y", b"head /b/a7/x", b"delete /b/a7/x", b"head /b"]
    assert b"signedheaders=host;range;x-amz" in store.heads[0]


CHUNKED = b"HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
UNTIL_CLOSE = b"HTTP/1.1 200 x\r\nConnection: close\r\n\r\nabc"


async def test_an_object_of_no_known_length_is_no_object() -> None:
    """It may end too soon: tried again, then an error, never handed on. Chunks show their end."""
    store = Store([UNTIL_CLOSE, b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", CHUNKED])
    async with objects_at(store) as objects:
        for _ in range(2):
            answer = await objects.call("GET", "x")
            assert (answer.status, answer.body) == (200, b"abc")
    async with objects_at(Store([UNTIL_CLOSE, UNTIL_CLOSE]), attempts=2) as objects:
        with pytest.raises(OSError, match="did not say how long"):
            await objects.call("GET", "x")


LATE = b"<?xml version='1.0'?><Error><Code>InternalError</Code></Error>"
LATE_ERROR = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(LATE), LATE)


async def test_an_error_under_a_200_is_no_success() -> None:
    """A store may send the status before it knows: tried again, and a failure if that is its last word."""
    async with objects_at(Store([LATE_ERROR, OK])) as objects:
        assert (await objects.put("x", [b"1"], {})).went_well
    async with objects_at(Store([LATE_ERROR, LATE_ERROR]), attempts=2) as objects:
        answer = await objects.put("x", [b"1"], {})
        assert (answer.status, answer.code, answer.went_well) == (200, "InternalError", False)


async def test_a_put_needs_no_known_length() -> None:
    """What its answer says beside the status is of no use."""
    async with objects_at(Store([CHUNKED])) as objects:
        assert (await objects.put("x", [b"1"], {"if-none-match": "*"})).went_well


async def test_a_refusal_says_what_was_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wrong keys, as ops see them at start: HEAD brings no error text, so a GET is sent for it; PUT brings one."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    refused = b"HTTP/1.1 403 x\r\nContent-Length: 0\r\n\r\n"
    async with listening(Store([refused, DENIED, OK, DENIED])) as endpoint:
        address = S3Address("b", (endpoint,), "us-east-1")
        with pytest.raises(StoreUnavailable, match=r"^HEAD b: the store answered 403 AccessDenied$"):
            await S3Store(address).__aenter__()
        async with S3Store(address) as store:
            with pytest.raises(StoreUnavailable, match=r"^PUT a7/x: the store answered 403 AccessDenied$"):
                await store.create("a7/x", b"1")


@pytest.mark.parametrize(("region", "said"), [("us-east-1", b""), ("eu-west-1", b">eu-west-1<")])
async def test_a_bucket_is_made_where_its_region_is(
    region: str,
    said: bytes,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """S3 wants to be told of every region but its first."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    store = Store([b"HTTP/1.1 404 x\r\nContent-Length: 9\r\n\r\n", OK])
    async with listening(store) as endpoint, S3Store(S3Address("b", (endpoint,), region)):
        pass

    assert store.heads[1].startswith(b"put /b http/1.1")
    assert bool(store.bodies[1]) == bool(said)
    assert said in store.bodies[1]
