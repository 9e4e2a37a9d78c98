"""The `meta` part of an upload, read back on a real node."""

from typing import Any

from redis.asyncio import Redis

from .conftest import multipart, photo
from .test_posts import finish


async def test_meta_is_read_back_by_its_owner_alone(client: Any, redis: Redis) -> None:
    """Byte for byte, before and after the pictures are there; no answer shows it to others; null if none was sent."""
    sent = b'{"caption": "z\xc3\xbcrich",  "n": [1.50]}'
    body = multipart(("front", photo("teal")), ("back", photo("navy")), ("meta", sent))
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
