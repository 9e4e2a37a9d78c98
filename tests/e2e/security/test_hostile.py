"""What an attacker sends, to a balancer and past it to a node: no secret in a log, no file out of its place."""

import base64
import itertools
import json
import re
import time
import urllib.error
import urllib.request
from pathlib import Path

import jwt
import msgspec
import pytest
from redis.asyncio import Redis

from ingest.metrics import KEPT_S
from storage.tombstones import SIZE
from tests.e2e.security.conftest import PLACE, SECRET, Stack, token

pytestmark = pytest.mark.e2e

GET = b"GET /v1/posts/aaaaaaaaaaaaaaaaaaaaaaaaaa HTTP/1.1\r\nHost: x\r\n"
POST = b"POST /v1/moments/x/posts HTTP/1.1\r\nHost: x\r\n"
END = b"Connection: close\r\n\r\n"


def heads(bearer: bytes) -> list[bytes]:
    """Requests with a token in them, most of them malformed somewhere near it."""
    field = b"Authorization: Bearer " + bearer
    form = b"Content-Type: multipart/form-data; boundary=x\r\n"
    return [
        *(
            GET + field + odd + b"\r\n" + END
            for odd in (b"", b"\0", b"\n", b"\r", b"\x80", b" x", b"\x7f", b"\r\n folded")
        ),
        GET + field + b"\r\n" + field + b"\r\n" + END,
        GET + b"Authorization : Bearer " + bearer + b"\r\n" + END,
        GET + b"Authorization\x00: Bearer " + bearer + b"\r\n" + END,
        GET + b"Authorization: Bearer " + bearer + b"a" * 20_000 + b"\r\n" + END,
        GET + b"X-Request-Id: " + bearer + b" \r\n" + field + b"\r\nTransfer-Encoding: gzip\r\n" + END,
        GET.replace(b" HTTP", b"?access_token=" + bearer + b" HTTP") + END,
        GET.replace(b"GET", b"G\xc3T") + field + b"\r\n" + END,
        GET.replace(b"HTTP/1.1", b"HTTP/9.9") + field + b"\r\n" + END,
        b"Bearer " + bearer + b"\r\n\r\n",
        bearer + b" / HTTP/1.1\r\nHost: x\r\n\r\n",
        GET + field,
        POST + field + b"\r\n" + form + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n" + END + b"0\r\n\r\n",
        POST + field + b"\r\n" + form + b"Transfer-Encoding: chunked\r\n" + END + bearer + b"\r\n",
        POST + field + b"\r\n" + form + b"Content-Length: 99\r\n" + END + b"--x\r\nContent-Disposition: " + bearer,
        POST + field + b"\r\n" + form + b"Content-Length: -1\r\n" + END,
        b"\x16\x03\x01\x02" + bearer + b"\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bearer,
    ]


def test_no_token_and_no_secret_is_ever_logged(stack: Stack) -> None:
    """Good and bad tokens in good and malformed requests, a fault of ours with its traceback: no log has a part."""
    moment = stack.moment()
    stack.ready(stack.upload(moment, "logged"))
    post = stack.upload(moment, "broken").rsplit("/", 1)[1]
    (broken,) = (stack.folder / "store").glob(f"*/intake/{moment}/{post}.zip")
    broken.write_bytes(b"no ZIP")
    good, foreign = token("ops", "ops"), jwt.encode({"sub": "eve", "scope": "ops"}, "x" * 32, "HS256")
    deep = ".".join(base64.urlsafe_b64encode(part).decode() for part in (b"{}", b'{"x":' + b"[" * 6000, b"x"))
    expired = jwt.encode({"sub": "late", "scope": "ops", "exp": 1}, SECRET, "HS256")

    with pytest.raises(urllib.error.HTTPError, match="500"):
        stack.upload(moment, "broken")
    broken.unlink()
    for bearer, port in itertools.product((good, foreign, expired), (stack.node, stack.front)):
        for data in heads(bearer.encode()):
            stack.raw(port, data, ends=True)
        for field in (b"", b"Authorization: Bearer \x80.a.b\r\n", b"Authorization: Bearer %b\r\n" % deep.encode()):
            assert stack.raw(port, GET + field + END).startswith(b"HTTP/1.1 401")

    while b'"status":401' not in stack.logs():  # the journal writes behind
        time.sleep(0.05)
    logged = stack.logs()
    assert b"Traceback" in logged  # the fault was logged
    assert b"Error handling request from 127.0.0.1: " in logged  # and so were malformed heads, without their bytes
    for bearer in (good, foreign, expired, token("logged"), token("broken")):
        _, payload, signature = bearer.encode().split(b".")
        assert payload not in logged
        assert signature not in logged
    assert SECRET.encode() not in logged


def test_a_log_line_is_never_a_clients(stack: Stack) -> None:
    """Line ends in paths, fields, ids and JSON begin no line of any log, and every access line is one JSON object."""
    bearer = token("eve\nINJECTED").encode()
    ops = token("ops", "ops").encode()
    body = b'{"region":"eu\\nINJECTED"}'
    for port in (stack.node, stack.front):
        for data in (
            GET.replace(b"/v1/posts/", b"/v1/posts/%0d%0aINJECTED%0a") + END,
            GET.replace(b"/v1", b"/\x0bINJECTED") + END,
            GET + b"X-Request-Id: a\rINJECTED\r\nUser-Agent: a\nINJECTED\r\n" + END,
            GET + b"X-Request-Id: a%0aINJECTED\r\nX-Forwarded-For: 1\x0cINJECTED\r\n" + END,
            GET + b"Authorization: Bearer " + bearer + b"\r\n" + END,
            b"POST /v1/moments HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %b\r\nContent-Length: %d\r\n%b%b"
            % (ops, len(body), END, body),
        ):
            assert not stack.raw(port, data).startswith(b"HTTP/1.1 5")
    for text in stack.logs().decode(errors="replace").splitlines():
        assert not text.startswith("INJECTED")
    for line in (stack.folder / "access.log").read_bytes().splitlines():
        assert isinstance(json.loads(line), dict)


def test_no_id_leads_out_of_its_folder(stack: Stack) -> None:
    """Dots, slashes, NULs and encoded ones as moment, post, side and size: 4xx, and nothing is written anywhere."""
    ups = ("..", "%2e%2e", "..%2f..%2f..%2fetc%2fpasswd", "%2fetc%2fpasswd", "a%00b", "..%5c..%5c", "%252e%252e%252f")
    paths = [
        path.replace("ID", up)
        for up in ups
        for path in ("/v1/moments/ID", "/v1/moments/ID/posts", "/v1/posts/ID", "/v1/posts/ID/photos/front/thumb",
                     "/v1/posts/aaaaaaaaaaaaaaaaaaaaaaaaaa/photos/ID/ID", "/docs/ID", "/v1/moments/current?region=ID")
    ]  # fmt: skip
    before = everything(stack.folder)

    bearers = {"GET": token("ops", "ops"), "DELETE": token("ops", "ops"), "POST": token("eve")}
    for path, (method, bearer), port in itertools.product(paths, bearers.items(), (stack.node, stack.front)):
        head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {bearer}\r\nContent-Length: 0\r\n"
        answer = stack.raw(port, head.encode() + END)
        assert re.match(rb"HTTP/1.1 4\d\d ", answer), (head, answer)
        assert b"root:" not in answer
    assert everything(stack.folder) == before


def everything(folder: Path) -> set[Path]:
    """All files of the stack."""
    return {path for path in folder.rglob("*") if path.is_file()}


def test_the_pair_as_received_is_never_served(stack: Stack) -> None:
    """With its GPS data it stays in the store: no route, scope, range or stored name gives a byte of it to another."""
    moment = stack.moment()
    path = stack.upload(moment, "private")
    links = stack.ready(path)
    post = path.rsplit("/", 1)[1]
    (stored,) = (stack.folder / "store").glob(f"*/intake/*/{post}.zip")
    assert PLACE in stored.read_bytes()

    calls = msgspec.json.decode(stack.call("GET", "/openapi.json"))["paths"]
    values = {"moment_id": moment, "post_id": post, "user_id": "private", "upload": "x"}
    guesses = [*links.values(), f"/{stored.relative_to(stack.folder / 'store')}", f"{path}.zip", f"{path}/intake"]
    guesses += [f"{path}/photos/{side}/{size}" for side in ("front", "back", "composite", "receipt.json", "front.jpg")
                for size in ("thumb", "feed", "full", "original", "intake")]  # fmt: skip
    # The export gives a user their own pairs as they sent them, and is asked apart.
    guesses += [call.format(**values, side="front", size="full") for call in calls if not call.endswith("/export")]
    served = 0
    for where, bearer in itertools.product(guesses, (token("private"), token("eve"), token("ops", "ops"))):
        try:
            answer = stack.call("GET", where, bearer)
        except urllib.error.HTTPError as refused:
            answer = refused.read()
        else:
            served += 1
        assert PLACE not in answer
        assert b"PK\x03\x04" not in answer
    with pytest.raises(urllib.error.HTTPError, match="403"):
        stack.call("GET", "/v1/users/private/export", token("eve"))
    assert PLACE in stack.call("GET", "/v1/users/private/export", token("private"))
    assert served > 3 * len(links)  # that is, the guesses were asked of a post that is there


ODD_USERS = (
    "../../../etc/passwd", "a:b", "*", "{tag}", "'..redis.call('FLUSHALL')..'", "$7 FLUSHALL", "$(id)", "%s%n",
    "<script>", '"},{"', "user ñ 用户", "x" * 128,
)  # fmt: skip


async def test_a_user_id_is_data_wherever_it_goes(stack: Stack) -> None:
    """Quotes, Lua, globs, commands, markup: each such user posts, is rendered, and deletes their own post alone."""
    moment = stack.moment()
    async with Redis.from_url(stack.redis_url) as client:
        await client.set("sentinel", "here")
        paths = {user: stack.upload(moment, user) for user in ODD_USERS}
        for user, path in paths.items():
            stack.ready(path)
            assert msgspec.json.decode(stack.call("GET", path, token("anyone")))["user_id"] == user
            with pytest.raises(urllib.error.HTTPError, match="403"):
                stack.call("DELETE", path, token(f"{user}"[:-1] or "other"))
        assert await client.get("sentinel") == b"here"
        await client.delete("sentinel")
    names = {path.name for path in everything(stack.folder / "store")}
    assert {f"{path.rsplit('/', 1)[1]}.zip" for path in paths.values()} <= names
    for user, path in paths.items():
        stack.call("DELETE", path, token(user))
    left = list((stack.folder / "store").glob(f"*/*/{moment}/*"))
    assert {path.stat().st_size for path in left} == {SIZE}  # tombstones


def series(port: int) -> set[str]:
    """The names and labels of all metrics, once what a node has kept of an earlier scrape is too old to be served."""
    time.sleep(KEPT_S)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        return {line.rpartition(" ")[0] for line in answer.read().decode().splitlines() if not line.startswith("#")}


def test_a_client_cannot_make_new_metrics(stack: Stack) -> None:
    """Paths, methods, hosts and users of their own give no label: a second hundred of them adds no series."""

    def knock(name: str) -> None:
        for port in (stack.node, stack.front):
            for number in range(25):
                odd = f"{name}{number}"
                lines = f"Host: {odd}\r\nUser-Agent: {odd}\r\nAuthorization: Bearer {token(odd)}\r\n"
                stack.raw(port, f"GET /{odd} HTTP/1.1\r\n{lines}".encode() + END)
                stack.raw(port, f"{odd.upper()} /v1/posts/{odd} HTTP/1.1\r\n{lines}".encode() + END)

    series(stack.node)  # a scrape is itself counted
    knock("first")
    before = series(stack.node), series(stack.admin)
    knock("second")
    assert (series(stack.node), series(stack.admin)) == before
