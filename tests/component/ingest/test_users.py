"""A user's data on a real node: listed, exported whole, deleted with everything that tells of it."""

import asyncio
import hashlib
import io
import itertools
import json
import zipfile
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
from redis.asyncio import Redis

from storage import intake, keys
from tests.component.ingest.conftest import multipart, photo, token
from tests.faults.rig import until


async def posted(client: Any, count: int, user: str = "alice") -> list[str]:
    """Moments in which the user has a post, in the order of their ids."""
    moments = sorted([await client.moment() for _ in range(count)])
    for moment in moments:
        assert (await client.upload(moment, user)).status == 201
    return moments


async def told(redis: Redis, user: str, moments: list[str]) -> list[str]:
    """The keys in Redis that tell of this user or of a post, except ids of deletions."""
    names = [user, *(keys.post_id(moment, user) for moment in moments)]
    found = []
    async for key in redis.scan_iter("*"):
        kind = await redis.type(key)
        if kind == b"zset":
            values = await redis.zrange(key, 0, -1)
        elif kind == b"hash":
            values = [part for pair in (await redis.hgetall(key)).items() for part in pair]
        else:
            values = [await redis.get(key) or b""] if kind == b"string" else []
        text = b"\n".join([key, *values]).decode(errors="replace")
        if any(name in text for name in names) and not text.startswith((keys.DELETION_KEY, keys.RATE_KEY)):
            found.append(key.decode())
    return sorted(found)


async def test_all_of_a_user_is_deleted_with_caches_and_queue(client: Any, redis: Redis) -> None:
    """Objects, index entries, jobs and dead letters; the receipt names them; other users' posts stay."""
    moments = await posted(client, 3)
    assert (await client.upload(moments[0], "bob")).status == 201
    ids = [keys.post_id(moment, "alice") for moment in moments]
    await redis.hset(keys.DEAD_KEY, f"render_pair:{ids[0]}", json.dumps({"error": ids[0]}))
    assert await told(redis, "alice", moments) != []

    answer = await client.call("DELETE", "/v1/users/alice/posts", "o", "ops")

    assert answer.status == 200
    receipt = answer.body
    assert [(one["post_id"], one["held"]) for one in receipt["deleted"]] == [(one, "pair") for one in ids]
    assert receipt["deleted"][0]["objects"] == [keys.intake(moments[0], ids[0]), keys.media(moments[0], ids[0])]
    assert [one["jobs"] for one in receipt["deleted"]] == [2, 2, 2]
    assert (receipt["kept"], receipt["barred"], receipt["next"], receipt["moments"]) == ([], [], None, 3)
    assert await told(redis, "alice", moments) == []
    for post_id in ids:
        assert (await client.call("GET", f"/v1/posts/{post_id}")).status == 404
    assert all(one.stat().st_size == 173 for one in client.objects("intake") if one.stem in ids)
    assert (await client.call("GET", f"/v1/posts/{keys.post_id(moments[0], 'bob')}", "bob")).status == 200
    again = (await client.call("DELETE", "/v1/users/alice/posts", "o", "ops")).body
    assert [one["held"] for one in again["deleted"]] == ["tombstone"] * 3


async def test_an_upload_in_progress_does_not_survive_the_deletion(client: Any) -> None:
    """It began before; it is answered 409, and nothing of the user is stored. A later upload is accepted."""
    moment = await client.moment()
    body, begun, half = multipart(("front", photo()), ("back", photo("navy"))), asyncio.Event(), asyncio.Event()

    async def slowly() -> Any:
        yield body[:500]
        begun.set()  # the head and these bytes are on their way
        await half.wait()
        yield body[500:]

    upload = asyncio.create_task(client.upload(moment, "alice", slowly()), name="upload")  # noqa: TID251 - awaited below
    await begun.wait()

    async def received() -> bool:
        return b"in_flight_requests 1.0" in (await client.call("GET", "/metrics")).raw

    await until(received, "the head has arrived")
    receipt = (await client.call("DELETE", "/v1/users/alice/posts", "o", "ops")).body
    half.set()
    answer = await upload

    assert (receipt["deleted"], receipt["barred"]) == ([], [moment])
    assert (answer.status, answer.body["code"]) == (409, "superseded")
    assert (await client.call("GET", "/v1/users/alice/posts")).body["posts"] == []
    assert (await client.upload(moment)).status == 201


async def test_a_user_asks_for_its_own_data_alone(client: Any) -> None:
    """By its own token; by another user's 403; a name that no token can have is 400."""
    await posted(client, 1, "an/n ü")
    path = f"/v1/users/{quote('an/n ü', safe='')}"

    assert len((await client.call("GET", f"{path}/posts", "an/n ü")).body["posts"]) == 1
    for method, where in (("GET", "posts"), ("DELETE", "posts"), ("GET", "export")):
        assert (await client.call(method, f"{path}/{where}", "bob")).body["code"] == "forbidden"
        answer = await client.call(method, f"/v1/users/{'x' * 129}/{where}", "o", "ops")
        assert (answer.status, answer.body["code"]) == (400, "bad-request")
    assert len((await client.call("DELETE", f"{path}/posts", "an/n ü")).body["deleted"]) == 1


async def test_posts_come_by_pages_and_calls_are_bounded(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """So many posts a page, so many moments a call; going on by the cursor finds all, once."""
    monkeypatch.setattr("storage.users.WIDTH", 2)
    monkeypatch.setattr("storage.users.MOMENTS_MAX", 4)
    moments = await posted(client, 5)
    await client.moment(region="zz")

    async def pages(query: str) -> list[str]:
        found, more = [], ""
        while True:
            page = (await client.call("GET", f"/v1/users/alice/posts?{query}{more}")).body
            found += [one["moment_id"] for one in page["posts"]]
            if page["next"] is None:
                return found
            more = f"&cursor={page['next']}"

    assert await pages("limit=1") == await pages("limit=3") == await pages("limit=1000") == moments
    first = (await client.call("DELETE", "/v1/users/alice/posts", "o", "ops")).body
    second = (await client.call("DELETE", f"/v1/users/alice/posts?cursor={first['next']}", "o", "ops")).body
    assert (len(first["deleted"]), len(second["deleted"]), second["next"]) == (4, 1, None)
    for cursor, method in itertools.product(("../x", ""), ("GET", "DELETE")):
        bad = await client.call(method, f"/v1/users/alice/posts?cursor={cursor}")
        assert (bad.status, bad.body["code"]) == (400, "bad-request")


async def test_an_export_has_every_byte(client: Any) -> None:
    """The photos as received, the receipt with its meta, and a manifest with the digest of each file."""
    moments = await posted(client, 2)
    key = keys.intake(moments[1], keys.post_id(moments[1], "alice"))
    stored = client.root / key
    stored.write_bytes(b"damaged" * 50)

    answer = await client.call("GET", "/v1/users/alice/export")

    assert (answer.status, answer.content_type) == (200, "application/zip")
    assert "X-Request-Id" in answer.headers
    with zipfile.ZipFile(io.BytesIO(answer.raw)) as archive:
        assert archive.testzip() is None
        files = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(files.pop("manifest.json"))
    assert files[f"{moments[0]}/received/front.jpg"] == photo()
    assert json.loads(files[f"{moments[0]}/received/receipt.json"])["user_id"] == "alice"
    assert manifest["unreadable"] == [key]
    assert (manifest["user_id"], manifest["posts"]) == ("alice", 2)
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    assert {one["name"]: one["sha256"] for one in manifest["files"]} == digests
    head = await client.call("HEAD", "/v1/users/alice/export")
    assert (head.status, head.content_type, head.raw) == (200, "application/zip", b"")
    empty = await client.call("GET", "/v1/users/nobody/export", "o", "ops")
    with zipfile.ZipFile(io.BytesIO(empty.raw)) as archive:
        assert archive.namelist() == ["manifest.json"]


@pytest.mark.parametrize(
    ("method", "path", "limit"),
    [("GET", "export", "EXPORTS_MAX"), ("GET", "posts", "LISTS_MAX"), ("DELETE", "posts", "ERASURES_MAX")],
)
async def test_what_is_much_work_is_limited(
    make_client: Any, monkeypatch: pytest.MonkeyPatch, method: str, path: str, limit: str
) -> None:
    """One more than a node makes waits, and is answered 503; the place is free afterwards."""
    monkeypatch.setattr("ingest.turns.WAIT_S", 0.0)
    monkeypatch.setattr(f"ingest.users.{limit}", 0)
    async with make_client() as client:
        refused = await client.call(method, f"/v1/users/alice/{path}")
        assert (refused.status, refused.body["code"]) == (503, "overloaded")
        assert int(refused.headers["Retry-After"]) >= 1

    monkeypatch.setattr(f"ingest.users.{limit}", 1)
    async with make_client() as client:
        for _ in range(2):
            assert (await client.call(method, f"/v1/users/alice/{path}")).status == 200


async def test_an_export_without_the_store_is_refused(client: Any) -> None:
    """503 before the first byte, not an archive without an end."""
    await posted(client, 1)
    client.root.rename(client.root.with_name("away"))

    answer = await client.call("GET", "/v1/users/alice/export")

    assert (answer.status, answer.body["code"]) == (503, "storage-unavailable")


async def test_a_user_who_reads_slowly_takes_one_export_of_a_node(client: Any) -> None:
    """Its second one is refused while another user's is made; when the first ends, it may have another."""
    await posted(client, 1)
    stored = next(path for path in client.objects("intake"))
    archive = intake.unpack(stored.read_bytes())
    large = photo() + bytes(24 * 1024 * 1024)  # more than the sockets hold
    stored.write_bytes(b"".join(intake.pack(archive.receipt, large, large)))
    url = f"http://127.0.0.1:{client.port}/v1/users/alice/export"
    fields = {"Authorization": f"Bearer {token('alice')}"}

    async with client.session.get(url, headers=fields) as slow:
        assert slow.status == 200
        refused = await client.call("GET", "/v1/users/alice/export")
        assert (refused.status, refused.body["code"]) == (429, "rate-limited")
        assert "Retry-After" in refused.headers
        assert (await client.call("GET", "/v1/users/bob/export", "bob")).status == 200
        await slow.read()
    assert (await client.call("GET", "/v1/users/alice/export")).status == 200


async def test_an_export_of_what_is_deleted_meanwhile_breaks_off(client: Any) -> None:
    """It has no end of an archive, and no bytes of anything else; nothing is logged as an error of the node."""
    await posted(client, 1)
    (stored,) = client.objects("intake")
    archive = intake.unpack(stored.read_bytes())
    large = photo() + bytes(24 * 1024 * 1024)  # more than the sockets hold
    stored.write_bytes(b"".join(intake.pack(archive.receipt, large, large)))
    url = f"http://127.0.0.1:{client.port}/v1/users/alice/export"

    async with client.session.get(url, headers={"Authorization": f"Bearer {token('alice')}"}) as export:
        assert export.status == 200
        assert len((await client.call("DELETE", "/v1/users/alice/posts")).body["deleted"]) == 1
        with pytest.raises(aiohttp.ClientError):
            await export.read()
    assert b'route="user_export",status="409"' in (await client.call("GET", "/metrics")).raw


async def test_exports_give_way_to_uploads(make_client: Any) -> None:
    """While uploads need the node, no export begins."""
    async with make_client(in_flight_requests_max=1) as client:
        moment = await client.moment()
        half, begun = asyncio.Event(), asyncio.Event()

        async def slowly() -> Any:
            yield b"--x"
            begun.set()
            await half.wait()
            yield b"--\r\n"

        upload = asyncio.create_task(client.upload(moment, "alice", slowly()), name="upload")  # noqa: TID251 - awaited
        await begun.wait()

        async def refused() -> bool:
            return bool((await client.call("GET", "/v1/users/bob/export", "bob")).status == 503)

        await until(refused, "an export gives way")
        half.set()
        await upload
        assert not await refused()
