"""The `meta` part of an upload, read back on a real node."""

from typing import Any

import pytest
from redis.asyncio import Redis

from .conftest import multipart, photo
from .test_posts import finish


async def test_meta_is_read_back_by_its_owner_alone(client: Any, redis: Redis) -> None:
    """As sent, before and after the pictures are there; no answer shows it to others; null if none was sent."""
    sent = b'{"caption": "z\xc3\xbcrich",  "n": [1.50]}'
    body = multipart(("front", photo("teal")), ("back", photo("navy")), ("meta", b" " + sent + b"\r\n"))
    moment = await client.moment()
    made = await client.upload(moment, body=body)
    path = made.body["links"]["self"] + "/meta"
    mine = [await client.call("GET", path)]
    await finish(client, redis, made.headers["Location"])
    mine.append(await client.call("GET", path))

    assert [(answer.status, answer.raw, answer.content_type) for answer in mine] == [
        (200, sent, "application/json")
    ] * 2
    assert "no-store" in mine[0].headers["Cache-Control"]
    for user, scope in (("bob", "upload"), ("bob", "ops")):
        refused = await client.call("GET", path, user, scope)
        assert (refused.status, refused.body["code"]) == (403, "forbidden")
        shown = await client.call("GET", made.headers["Location"], user, scope)
        assert b"caption" not in refused.raw + shown.raw + made.raw
    page = await client.call("GET", f"/v1/moments/{moment}/posts", "o", "ops")
    assert b"caption" not in page.raw
    without = (await client.upload(moment, "carol")).body["links"]["self"] + "/meta"
    assert (await client.call("GET", without, "carol")).raw == b"null"
    await client.call("DELETE", made.headers["Location"])
    assert (await client.call("GET", path)).body["code"] == "no-such-post"
    assert (await client.call("GET", "/v1/posts/x/meta")).body["code"] == "no-such-post"


@pytest.mark.parametrize(
    ("meta", "reason"),
    [
        (b" \n", "is blank"),
        (b"\xef\xbb\xbf{}", "byte order mark"),
        ("{}".encode("utf-16"), "byte order mark"),
        (b'{"a": "\xff"}', "is not UTF-8: byte 7 is 0xff"),
        (b'{"a": ' + b"[" * 1500 + b"]" * 1500 + b"}", "nests deeper than 32"),
        (b'{"a": 1e999}', "cannot be read as a JSON object: Number out of range"),
        (b"[1]", "Expected `object`, got `array`"),
    ],
    ids=["blank", "bom", "utf-16", "latin-1", "deep", "number", "array"],
)
async def test_an_odd_meta_is_refused_for_what_it_is(client: Any, meta: bytes, reason: str) -> None:
    """400 with the defect, not with what a parser stumbled over because of it."""
    moment = await client.moment()
    body = multipart(("front", photo("teal")), ("back", photo("navy")), ("meta", meta))
    refused = await client.upload(moment, body=body)
    assert (refused.status, refused.body["code"]) == (400, "bad-multipart")
    assert reason in refused.body["detail"]
