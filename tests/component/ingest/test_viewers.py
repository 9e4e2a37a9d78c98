"""What viewers get from a real node: HEAD, pictures by signed links, and answers that a web page may read."""

import asyncio
import hashlib
import re
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
from redis.asyncio import Redis

from ingest.calls import CALLS
from ingest.links import Links
from storage import keys, media

from .conftest import Client, multipart, photo, token
from .test_posts import IMAGES, finish

SECRET = "a-secret-for-links-of-32-characters"
APP, OTHER = "https://app.example", "https://evil.example"
Clients = Callable[..., AbstractAsyncContextManager[Client]]


async def bare(client: Client, method: str, path: str, **headers: str) -> Any:
    """A request without a token; header names are given with underscores."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    async with client.session.request(method, f"http://127.0.0.1:{client.port}{path}", headers=named) as answer:
        answer.raw = await answer.read()
        answer.body = await answer.json(content_type=None) if "json" in answer.content_type else None
        return answer


async def raw(port: int, data: bytes) -> bytes:
    """All that the node answers on one connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    try:
        return await reader.read()
    finally:
        writer.close()


async def ready(client: Client, redis: Redis, **more: Any) -> str:
    """The path of a new post with pictures."""
    path = str((await client.upload(await client.moment())).headers["Location"])
    await finish(client, redis, path, **more)
    return path


def common(answer: Any) -> dict[str, str]:
    """The fields of an answer that the next one to the same request has too."""
    own = {"date", "x-request-id", "retry-after", "transfer-encoding"}
    return {name.lower(): value for name, value in answer.headers.items() if name.lower() not in own}


# HEAD.


@pytest.mark.parametrize("name", sorted(call.name for call in CALLS if call.method == "GET" and call.name != "metrics"))
async def test_head_has_the_fields_of_get_and_no_body(client: Any, redis: Redis, name: str) -> None:
    """Content-Length too; and for errors."""
    path = await ready(client, redis)
    moment = (await client.call("GET", path)).body["moment_id"]
    call = next(call for call in CALLS if call.name == name)
    post_id = path.rsplit("/", 1)[1]
    values = {"post_id": post_id, "moment_id": moment, "side": "front", "size": "thumb", "user_id": "alice"}
    target = call.path.format(**values, upload="x") + ("?region=eu-west" if name == "current_moment" else "")

    for asked in (target, f"{target}/nothing"):
        got, headed = [await client.call(method, asked, "ops", "ops") for method in ("GET", "HEAD")]
        assert (headed.status, common(headed)) == (got.status, common(got))
        assert headed.raw == b""
        assert name == "user_export" or int(got.headers["Content-Length"]) == len(got.raw) > 0
    assert (await client.call("HEAD", "/metrics")).status == 200


async def test_nothing_follows_the_fields_of_a_head(client: Any, redis: Redis) -> None:
    """On the wire: the next answer begins right behind the empty line."""
    path = await ready(client, redis)
    fields = f"Host: x\r\nAuthorization: Bearer {token('alice')}\r\n"
    targets = [f"{path}/photos/front/thumb", path, "/livez", "/docs", "/openapi.json", "/nothing", "/metrics"]
    heads = [f"HEAD {target} HTTP/1.1\r\n{fields}\r\n" for target in targets]
    last = f"GET /livez HTTP/1.1\r\n{fields}Connection: close\r\n\r\n"
    said = await raw(client.port, "".join([*heads, last]).encode())

    answers = said.split(b"\r\n\r\n")
    assert [answer[:9] for answer in answers[:-1]] == [b"HTTP/1.1 "] * 8
    assert answers[-1] == b"alive\n"


async def test_head_of_a_picture_does_not_read_it(client: Any, redis: Redis) -> None:
    """The picture's bytes in the store are spoilt, which GET finds out; its record is there, and that is enough."""
    path = await ready(client, redis)
    picture = f"{path}/photos/front/thumb"
    stored = client.root / keys.media(keys.moment_of(path.rsplit("/", 1)[1]), path.rsplit("/", 1)[1])
    stored.write_bytes(stored.read_bytes().replace(IMAGES["front-thumb"].data, b"x" * 13))

    headed = await client.call("HEAD", picture, headers={"Range": "bytes=0-1"})
    assert (headed.status, headed.headers["Content-Length"], headed.content_type) == (200, "13", "image/jpeg")
    assert headed.headers["ETag"]
    known = await client.call("HEAD", picture, headers={"If-None-Match": headed.headers["ETag"]})
    assert known.status == 304
    assert (await client.call("GET", picture)).status == 404


async def test_head_of_a_deleted_picture_is_404(client: Any, make_client: Clients, redis: Redis) -> None:
    """Also at a node that still has the record in its cache."""
    path = await ready(client, redis)
    picture = f"{path}/photos/front/thumb"
    assert (await client.call("HEAD", picture)).status == 200
    assert (await client.call("GET", picture)).status == 200
    async with make_client() as other:
        assert (await other.call("DELETE", path)).status == 204
    assert (await client.call("HEAD", picture)).status == 404


# Signed links.


async def test_a_post_links_to_pictures_that_need_no_token(make_client: Clients, redis: Redis) -> None:
    """In the record, in a page and in the answer to a repeated upload; the same at every node; good at every node."""
    async with make_client(link_secret=SECRET) as client, make_client(link_secret=f"{'n' * 32},{SECRET}") as other:
        path = await ready(client, redis)
        post = (await client.call("GET", path)).body
        link = post["links"]["front-thumb"]
        page = (await client.call("GET", f"/v1/moments/{post['moment_id']}/posts", "o", "ops")).body
        again = await client.upload(post["moment_id"])

        assert re.fullmatch(re.escape(path) + r"/photos/front/thumb\?exp=\d{10}&sig=[\w-]{32}", link)
        assert page["posts"][0]["links"] == again.body["links"] == post["links"]
        assert (again.status, "?" in post["links"]["self"], "?" in post["links"]["moment"]) == (200, False, False)
        for node in (client, other):
            for name in ("front-thumb", "composite"):
                answer = await bare(node, "GET", post["links"][name])
                assert (answer.status, answer.raw) == (200, IMAGES[name].data)
        assert (await bare(client, "GET", f"{path}/photos/front/thumb")).status == 401
        assert (await bare(client, "GET", path + "?" + link.partition("?")[2])).status == 401


async def test_a_shared_cache_may_keep_a_picture_as_long_as_its_link_lives(make_client: Clients, redis: Redis) -> None:
    """Whole, in part, unchanged, and its head; by a token only the reader's own cache may keep it."""
    async with make_client(link_secret=SECRET, link_s=1000) as client:
        path = await ready(client, redis)
        link = (await client.call("GET", path)).body["links"]["front-thumb"]
        etag = (await bare(client, "GET", link)).headers["ETag"]
        exp = int(link.partition("exp=")[2][:10])
        for method, status, asked in (
            ("GET", 200, {}),
            ("HEAD", 200, {}),
            ("GET", 206, {"Range": "bytes=2-6"}),
            ("GET", 304, {"If_None_Match": etag}),
        ):
            before = time.time()
            answer = await bare(client, method, link, **asked)
            control = re.fullmatch(r"public, max-age=(\d+), immutable", answer.headers["Cache-Control"])
            assert (answer.status, bool(control)) == (status, True)
            assert control
            assert int(exp - time.time()) <= int(control[1]) <= exp - before
            assert parsedate_to_datetime(answer.headers["Expires"]).timestamp() == exp
            assert "Vary" not in answer.headers
        by_token = await client.call("GET", f"{path}/photos/front/thumb")
        # Not for longer: after a deletion and a new post this path leads to another picture.
        assert by_token.headers["Cache-Control"] == "private, max-age=1000, immutable"
        assert "Expires" not in by_token.headers
        ended = Links([SECRET.encode()], 1000).signer(time.time() - 1000)(*_place(path, IMAGES["front-thumb"]))
        with_token = await client.call("GET", ended)
        assert (with_token.status, with_token.headers["Cache-Control"][:7]) == (200, "private")


def _place(path: str, image: media.Image) -> tuple[str, str]:
    """What a link to the thumb is signed for."""
    return f"{path}/photos/front/thumb", hashlib.sha256(image.data).hexdigest()


async def test_a_link_that_is_not_good_is_refused_and_not_kept(make_client: Clients, redis: Redis) -> None:
    """403 with a code that says why, which no cache may keep: ended, altered, for another picture, by a stranger."""
    async with make_client(link_secret=SECRET, link_s=1000) as client:
        path = await ready(client, redis)
        links = (await client.call("GET", path)).body["links"]
        query = links["front-thumb"].partition("?")[2]
        place = _place(path, IMAGES["front-thumb"])
        cases = {
            "link-expired": [Links([SECRET.encode()], 1000).signer(time.time() - 1000)(*place)],
            "bad-link": [
                links["front-thumb"][:-1] + "~",
                links["front-thumb"] + "&x=1",
                links["front-thumb"].replace("front", "%66ront"),
                f"{path}/photos/composite/feed?{query}",
                f"{path}/photos/front/full?{query}",
                Links([b"s" * 32], 1000).signer(time.time())(*place),
            ],
        }
        for code, targets in cases.items():
            for target in targets:
                head = f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
                said = await raw(client.port, head.encode())
                assert said.startswith(b"HTTP/1.1 403 "), target
                assert b"\r\nCache-Control: no-store\r\n" in said
                assert f'"code":"{code}"'.encode() in said


async def test_a_link_to_a_picture_shows_no_later_picture(make_client: Clients, redis: Redis) -> None:
    """Deleted: 404. Posted again with other photos: the old link stays 404, the new one is another one and good.

    So it is at a node that had the old record in its cache, and the old picture under no new link in any cache.
    """
    other_images = {name: media.Image(b"\xff\xd8new " + name.encode(), 32, 64) for name in IMAGES}
    async with make_client(link_secret=SECRET) as client, make_client(link_secret=SECRET) as other:
        moment = await client.moment()
        path = (await client.upload(moment)).headers["Location"]
        await finish(client, redis, path)
        old = (await client.call("GET", path)).body["links"]["front-thumb"]
        assert (await bare(client, "GET", old)).status == 200
        assert (await other.call("DELETE", path)).status == 204
        assert (await bare(other, "GET", old)).body["code"] == "no-such-post"
        assert (await bare(client, "GET", old)).body["code"] == "no-such-post"

        second = multipart(("front", photo("red")), ("back", photo("green")))
        assert (await other.upload(moment, body=second)).headers["Location"] == path
        await finish(other, redis, path, images=other_images)
        new = (await other.call("GET", path)).body["links"]["front-thumb"]
        assert new != old
        for node in (client, other):
            gone = await bare(node, "GET", old)
            assert (gone.status, gone.body["code"], gone.headers["Cache-Control"]) == (404, "no-such-post", "no-store")
            assert (await bare(node, "GET", new)).raw == other_images["front-thumb"].data


async def test_without_a_secret_links_need_a_token(client: Any, redis: Redis) -> None:
    """As before: the path alone, and a signature is not looked at."""
    path = await ready(client, redis)
    link = (await client.call("GET", path)).body["links"]["front-thumb"]
    signed = Links([SECRET.encode()], 1000).signer(time.time())(*_place(path, IMAGES["front-thumb"]))

    assert link == f"{path}/photos/front/thumb"
    for target in (link, signed):
        assert (await bare(client, "GET", target)).status == 401
        assert (await client.call("GET", target)).status == 200


# Web pages.


async def test_pages_of_a_named_origin_read_every_answer(make_client: Clients, redis: Redis) -> None:
    """Good ones, errors, and what a stranger's page gets; each says that it depends on the origin."""
    async with make_client(cors_origins=APP) as client:
        path = await ready(client, redis)
        cases = [("GET", path, 200), ("GET", f"{path}/photos/front/thumb", 200), ("GET", "/v1/nothing", 404),
                 ("GET", "/v1/posts/x", 404), ("PUT", path, 405), ("POST", "/v1/moments", 403),
                 ("POST", f"/v1/moments/{keys.moment_of(path.rsplit('/', 1)[1])}/posts", 400)]  # fmt: skip
        for method, target, status in cases:
            for origin, allowed in ((APP, APP), (OTHER, None), (None, None)):
                answer = await client.call(method, target, headers={"Origin": origin} if origin else {})
                assert (answer.status, answer.headers["Vary"]) == (status, "Origin"), (method, target)
                assert answer.headers.get("Access-Control-Allow-Origin") == allowed
                assert ("ETag" in answer.headers.get("Access-Control-Expose-Headers", "")) is (allowed is not None)
        refused = await bare(client, "GET", path, Origin=APP)
        assert (refused.status, refused.headers["Access-Control-Allow-Origin"]) == (401, APP)


async def test_a_browser_may_ask_without_a_token(make_client: Clients) -> None:
    """Preflight carries none; a stranger's page is told nothing."""
    async with make_client(cors_origins=f"{APP},http://127.0.0.1:3000") as client:
        asked = {"Access_Control_Request_Method": "POST", "Access_Control_Request_Headers": "authorization"}
        answer = await bare(client, "OPTIONS", "/v1/moments/m/posts", Origin=APP, **asked)
        stranger = await bare(client, "OPTIONS", "/v1/moments/m/posts", Origin=OTHER, **asked)

        assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (204, APP)
        assert "POST" in answer.headers["Access-Control-Allow-Methods"].split(", ")
        assert "Authorization" in answer.headers["Access-Control-Allow-Headers"].split(", ")
        assert "Access-Control-Allow-Origin" not in stranger.headers
        assert "Access-Control-Allow-Methods" not in stranger.headers


async def test_a_linked_picture_is_one_answer_for_every_page(make_client: Clients, redis: Redis) -> None:
    """The same fields whoever asks, so that a shared cache keeps one copy; what is refused is not such an answer."""
    async with make_client(cors_origins=APP, link_secret=SECRET) as client:
        path = await ready(client, redis)
        link = (await client.call("GET", path)).body["links"]["front-thumb"]
        for asked in ({}, {"Origin": APP}, {"Origin": OTHER}, {"Authorization": f"Bearer {token('alice')}"}):
            answer = await bare(client, "GET", link, **asked)
            assert answer.headers["Access-Control-Allow-Origin"] == "*"
            assert "Vary" not in answer.headers
        refused = await bare(client, "GET", link[:-1] + "~", Origin=OTHER)
        assert (refused.status, refused.headers["Vary"]) == (403, "Origin")
        assert "Access-Control-Allow-Origin" not in refused.headers


async def test_without_origins_no_answer_speaks_of_them(client: Any) -> None:
    """Neither Vary nor anything of CORS; OPTIONS tells the methods to anybody."""
    for method, path in (("GET", "/livez"), ("OPTIONS", "/v1/moments"), ("GET", "/nothing")):
        asked = {"Origin": APP, "Access_Control_Request_Method": "POST"}
        answer = await bare(client, method, path, **asked)
        assert not [name for name in answer.headers if name == "Vary" or name.startswith("Access-Control")]
    said = await raw(client.port, b"OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert said.startswith(b"HTTP/1.1 204 ")
    assert b"\r\nAllow: DELETE, GET, HEAD, OPTIONS, PATCH, POST\r\n" in said
