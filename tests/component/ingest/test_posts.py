"""The calls about posts on a real node: the record, renditions whole and in part, deletion."""

import time
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs
from redis.asyncio import Redis

from storage import intake, keys, media
from storage.existence import Existence
from storage.files import FileStore
from storage.index import Index
from storage.queue.jobs import LATER
from storage.records import accepted, flagged, from_ms
from storage.tombstones import SIZE
from tests.reports import observed

IMAGES = {
    "front-thumb": media.Image(b"\xff\xd8front-thumb", 32, 64),
    "composite": media.Image(b"\xff\xd8both", 108, 144),
}


async def finish(
    client: Any,
    redis: Redis,
    path: str,
    *,
    complete: bool = True,
    images: dict[str, media.Image] = IMAGES,
    tell: bool = True,
) -> str:
    """What a worker does, with pictures of our own, which may not reach Redis (`tell`); the post's id."""
    post_id = path.rsplit("/", 1)[1]
    (stored,) = (one for one in client.objects("intake") if one.stem == post_id)
    receipt = intake.unpack(stored.read_bytes()).receipt
    ready = structs.replace(flagged(accepted(receipt), receipt.late_by_ms), state="ready", complete=complete)
    post, body = media.pack(ready, images)
    target = Path(client.root, keys.media(receipt.moment_id, post_id))
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(body)
    if tell:
        await observed(Index(redis), [post])
    return post_id


async def test_a_post_goes_from_accepted_to_ready(client: Any, redis: Redis) -> None:
    """Its record shows state, flag and links as they come."""
    made = await client.upload(await client.moment())
    before = (await client.call("GET", made.headers["Location"], "anybody")).body
    post_id = await finish(client, redis, made.headers["Location"])
    after = (await client.call("GET", f"/v1/posts/{post_id}", "anybody")).body

    assert (before["state"], before["late"]) == ("accepted", None)
    assert (after["state"], after["late"], after["late_by_ms"] < 0) == ("ready", False, True)
    assert after["links"]["composite"].endswith("/photos/composite/feed")


async def test_renditions_are_served_with_etag_and_range(client: Any, redis: Redis) -> None:
    """Whole, unchanged, in part, from the end, and beyond it."""
    post_id = await finish(client, redis, (await client.upload(await client.moment())).headers["Location"])
    path = f"/v1/posts/{post_id}/photos/front/thumb"
    whole = await client.call("GET", path)
    etag = whole.headers["ETag"]

    assert (whole.status, whole.content_type, whole.raw) == (200, "image/jpeg", IMAGES["front-thumb"].data)
    assert etag.startswith('"')
    assert "immutable" in whole.headers["Cache-Control"]
    assert (await client.call("GET", path, headers={"If-None-Match": f'"x", W/{etag}'})).status == 304
    part = await client.call("GET", path, headers={"Range": "bytes=2-6"})
    assert (part.status, part.raw, part.headers["Content-Range"]) == (206, b"front", "bytes 2-6/13")
    assert (await client.call("GET", path, headers={"Range": "bytes=-5"})).raw == b"thumb"
    beyond = await client.call("GET", path, headers={"Range": "bytes=13-"})
    assert (beyond.status, beyond.headers["Content-Range"], beyond.body["code"]) == (416, "bytes */13", "bad-range")
    for fields in ({"Range": "bytes=0-1,3-4"}, {"Range": "lines=1"}, {"Range": "bytes=0-1", "If-Range": '"old"'}):
        assert (await client.call("GET", path, headers=fields)).status == 200
    assert (await client.call("GET", f"/v1/posts/{post_id}/photos/composite/feed")).raw == IMAGES["composite"].data


@pytest.mark.parametrize("name", ["front/full", "composite/thumb", "side/thumb", "front/huge"])
async def test_a_rendition_that_is_not_there_is_not_found(client: Any, redis: Redis, name: str) -> None:
    """404, whether the post lacks it or nobody has it."""
    post_id = await finish(client, redis, (await client.upload(await client.moment())).headers["Location"])

    assert (await client.call("GET", f"/v1/posts/{post_id}/photos/{name}")).status == 404


async def test_pictures_are_served_before_the_index_knows_them(client: Any, redis: Redis) -> None:
    """Their worker was cut off from Redis; who read the post while this node was, too, was told that it is ready."""
    path = (await client.upload(await client.moment())).headers["Location"]
    assert (await client.call("GET", f"{path}/photos/front/thumb")).status == 404
    await finish(client, redis, path, tell=False)

    assert (await client.call("GET", path)).body["state"] == "accepted"
    assert (await client.call("GET", f"{path}/photos/front/thumb")).status == 200


async def test_full_that_is_still_to_come_is_said_and_queued(client: Any, redis: Redis) -> None:
    """The post says that it is incomplete, links only what is there, and asking for `full` queues it."""
    path = (await client.upload(await client.moment())).headers["Location"]
    post_id = await finish(client, redis, path, complete=False)
    post = (await client.call("GET", path)).body
    answer = await client.call("GET", f"{path}/photos/front/full")

    assert (post["state"], post["complete"]) == ("ready", False)
    assert not [name for name in post["links"] if name.endswith("full")]
    assert (answer.status, answer.body["code"]) == (404, "no-such-rendition")
    assert await redis.zrange(LATER, 0, -1) == [f"complete_media:{post_id}".encode()]
    assert (await client.call("GET", f"{path}/photos/front/thumb")).status == 200
    assert (await client.call("GET", f"{path}/photos/front/feed")).body["code"] == "no-such-post"


async def test_deletion_is_for_owner_and_ops_and_complete(client: Any, redis: Redis) -> None:
    """Others 403; then 204, no picture left, 404 ever after, and the counts know; and the next may post again."""
    moment = await client.moment()
    for user, scope in (("alice", "upload"), ("someone", "ops")):
        path = (await client.upload(moment)).headers["Location"]
        await finish(client, redis, path)
        assert (await client.call("GET", f"{path}/photos/front/thumb")).status == 200
        assert (await client.call("DELETE", path, "bob")).status == 403
        assert (await client.call("DELETE", path, user, scope)).status == 204
        assert {len(path.read_bytes()) for path in client.objects("intake") + client.objects("media")} == {SIZE}
        for gone in (path, f"{path}/photos/front/thumb"):
            assert (await client.call("GET", gone)).body["code"] == "no-such-post"
        assert (await client.call("DELETE", path)).status == 404
        counts = (await client.call("GET", f"/v1/moments/{moment}/summary", "o", "ops")).body
        assert set(counts.values()) == {0}


async def test_pictures_of_a_new_post_are_never_served_by_an_old_record(client: Any, redis: Redis) -> None:
    """Deleted and posted again: the cached record of the first is found out by the digest."""
    moment = await client.moment()
    path = (await client.upload(moment)).headers["Location"]
    post_id = await finish(client, redis, path)
    await client.call("GET", f"{path}/photos/composite/feed")
    stored = client.root / keys.media(moment, post_id)
    record = media.record_in(stored.read_bytes())
    other, body = media.pack(record, IMAGES | {"composite": media.Image(b"\xff\xd8BOTH", 108, 144)})
    stored.write_bytes(body)
    await redis.delete(f"snapsurge:post:{post_id}")

    assert other.renditions["composite"].offset == record.renditions["composite"].offset
    assert (await client.call("GET", f"{path}/photos/composite/feed")).raw == b"\xff\xd8BOTH"


async def test_no_token_no_post(client: Any) -> None:
    """Every call about posts wants a token."""
    path = (await client.upload(await client.moment())).headers["Location"]
    for method, where in (("GET", path), ("DELETE", path), ("GET", f"{path}/photos/front/thumb")):
        assert (await client.call(method, where, headers={"Authorization": ""})).status == 401


async def test_a_request_id_is_a_label_and_names_no_post(client: Any, redis: Redis) -> None:
    """Deleted and posted again under the client's same id: a late word about the first changes nothing."""
    moment, label = await client.moment(), {"X-Request-Id": "mine"}
    path = (await client.upload(moment, headers=label)).headers["Location"]
    (stored,) = client.objects("intake")
    receipt = intake.unpack(stored.read_bytes()).receipt
    ready = structs.replace(flagged(accepted(receipt), receipt.late_by_ms), state="ready")
    first, body = media.pack(ready, IMAGES)
    assert (await client.call("DELETE", path)).status == 204
    made = await client.upload(moment, headers=label)

    assert await observed(Index(redis), [first]) == ["deleted"]
    async with FileStore(client.root) as store:
        assert await Existence(store).put_media(first, body) is None
    assert (made.status, made.body["id"]) == (201, receipt.id)
    assert (await client.call("GET", path)).body["state"] == "accepted"
    assert (await client.call("GET", f"{path}/photos/front/thumb")).body["code"] == "no-such-post"


async def test_a_deletion_that_redis_refuses_is_asked_for_again(client: Any, redis: Redis) -> None:
    """503 while the record may still be shown; the same call finishes it once Redis takes it."""
    moment = await client.moment()
    path = (await client.upload(moment)).headers["Location"]
    await finish(client, redis, path)
    await redis.config_set("min-replicas-to-write", 1)
    try:
        refused = await client.call("DELETE", path)
    finally:
        await redis.config_set("min-replicas-to-write", 0)
    assert (refused.status, refused.body["code"]) == (503, "storage-unavailable")
    assert refused.headers["Retry-After"].isdigit()

    assert (await client.call("DELETE", path)).status == 204
    assert (await client.call("GET", path)).status == 404
    counts = (await client.call("GET", f"/v1/moments/{moment}/summary", "o", "ops")).body
    assert set(counts.values()) == {0}


@pytest.mark.parametrize("asking", [{}, {"Range": "bytes=0-3"}, {"If-None-Match": "ETAG"}])
async def test_who_saw_a_picture_sees_no_more_of_it_once_it_is_deleted(
    client: Any, make_client: Any, redis: Redis, asking: dict[str, str]
) -> None:
    """At a node that has the record in its cache: neither the picture nor a part of it, nor that it is unchanged."""
    path = (await client.upload(await client.moment())).headers["Location"]
    await finish(client, redis, path)
    picture = f"{path}/photos/front/thumb"
    etag = (await client.call("GET", picture)).headers["ETag"]
    async with make_client() as other:
        assert (await other.call("DELETE", path)).status == 204
    headers = {name: value.replace("ETAG", etag) for name, value in asking.items()}

    gone = await client.call("GET", picture, headers=headers)
    assert (gone.status, gone.body["code"]) == (404, "no-such-post")


async def test_a_deletion_older_than_the_pair_touches_nothing(client: Any) -> None:
    """A node that stood still while the user deleted by another one and posted again."""
    moment = await client.moment()
    path = (await client.upload(moment)).headers["Location"]
    late = await client.call("DELETE", path, headers={"Snapsurge-Received-At": "1700000000000"})

    assert (late.status, late.body["code"]) == (409, "superseded")
    assert (await client.call("GET", path)).body["state"] == "accepted"


async def test_an_upload_older_than_the_deletion_brings_nothing_back(client: Any, redis: Redis) -> None:
    """A node that stood still while the user was acknowledged by another one and deleted the post."""
    moment = await client.moment()
    before_ms = str(time.time_ns() // 1_000_000)
    path = (await client.upload(moment)).headers["Location"]
    assert (await client.call("DELETE", path)).status == 204

    late = await client.upload(moment, headers={"Snapsurge-Received-At": before_ms})
    assert (late.status, late.body["code"], late.body["stored"]) == (409, "superseded", False)
    # The same with a ticket: its first try was before, this one is after.
    now_ms = str(time.time_ns() // 1_000_000)
    ticketed = {"Snapsurge-Received-At": before_ms, "Snapsurge-Retry": "1", "Snapsurge-Tried-At": now_ms}
    again = await client.upload(moment, headers=ticketed)
    assert again.status == 201
    assert again.body["received_at"] == from_ms(int(before_ms))
