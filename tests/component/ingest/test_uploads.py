"""The upload path on a real node: what is accepted, repeated, refused; and that a refusal leaves nothing behind."""

import asyncio
import io
import json
import shutil
import struct
import zipfile
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import pytest
from PIL import Image
from redis.asyncio import Redis

from storage.queue.jobs import FLAGS, ON_TIME, QUEUES

MakeClient = Callable[..., AbstractAsyncContextManager[Any]]
MIB = 1024 * 1024


def form(**parts: bytes) -> bytes:
    """A multipart body of just these parts."""
    head = '--x\r\nContent-Disposition: form-data; name="{}"\r\n\r\n'
    return b"".join(head.format(name).encode() + data + b"\r\n" for name, data in parts.items()) + b"--x--\r\n"


def jpeg(size: tuple[int, int] = (96, 128)) -> bytes:
    """A photo of this size."""
    out = io.BytesIO()
    Image.new("RGB", size, "olive").save(out, "JPEG")
    return out.getvalue()


def png_claiming(width: int, height: int) -> bytes:
    """A PNG whose header claims a size and whose body is tiny."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def nested(depth: int) -> bytes:
    """A JSON object that many levels deep."""
    return b'{"a":' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"


GOOD = jpeg()
BAD_PAIRS = {
    "missing back": (form(front=GOOD), 400, "bad-multipart"),
    "no parts": (b"--x--\r\n", 400, "bad-multipart"),
    "unknown part": (form(front=GOOD, back=GOOD, side=GOOD), 400, "bad-multipart"),
    "meta no JSON": (form(front=GOOD, back=GOOD, meta=b"{"), 400, "bad-multipart"),
    "meta no object": (form(front=GOOD, back=GOOD, meta=b"[1]"), 400, "bad-multipart"),
    "meta too deep": (form(front=GOOD, back=GOOD, meta=b"[" * 4000), 400, "bad-multipart"),
    "meta one too deep": (form(front=GOOD, back=GOOD, meta=nested(33)), 400, "bad-multipart"),
    "meta too long": (form(front=GOOD, back=GOOD, meta=b'{"a":"' + b"x" * 4096 + b'"}'), 413, "too-large"),
    "empty photo": (form(front=b"", back=GOOD), 422, "bad-photo"),
    "text named .jpg": (form(front=b"hello, I am a photo", back=GOOD), 415, "not-a-photo"),
    "truncated JPEG": (form(front=GOOD, back=GOOD[: len(GOOD) // 2]), 422, "bad-photo"),
    "1 pixel": (form(front=jpeg((1, 1)), back=GOOD), 422, "bad-photo"),
    "63 pixels": (form(front=jpeg((63, 200)), back=GOOD), 422, "bad-photo"),
    "65,501 pixels": (form(front=png_claiming(65_501, 64), back=GOOD), 422, "bad-photo"),
    "60,000 x 60,000": (form(front=png_claiming(60_000, 60_000), back=GOOD), 422, "bad-photo"),
    "52 MP": (form(front=png_claiming(10_400, 5_000), back=GOOD), 422, "bad-photo"),
    "17 MiB": (form(front=b"\xff\xd8\xff" + bytes(17 * MIB), back=GOOD), 413, "too-large"),
    "two of 17 MiB": (form(front=bytes(17 * MIB), back=bytes(17 * MIB)), 413, "too-large"),
}


async def test_a_pair_is_committed_once_and_answered_with_its_record(client: Any) -> None:
    """201, Location, digests of what was sent; one intake object that any unzip opens; jobs for it in the queue."""
    moment = await client.moment()
    answer = await client.upload(moment, body=form(front=GOOD, back=jpeg((200, 100)), meta=b'{"caption": 1e15}'))

    assert answer.status == 201
    assert answer.headers["Location"] == f"/v1/posts/{answer.body['id']}" == answer.body["links"]["self"]
    assert answer.body["state"] == "accepted"
    assert answer.body["late"] is None
    assert answer.body["photos"]["front"]["sha256"] == sha256(GOOD).hexdigest()
    assert answer.body["photos"]["back"]["width"] == 200
    (stored,) = client.objects("intake")
    with zipfile.ZipFile(stored) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["front.jpg", "back.jpg", "receipt.json"]
        assert {one.compress_type for one in archive.infolist()} == {zipfile.ZIP_STORED}
        assert archive.read("front.jpg") == GOOD
        assert b'"meta":{"caption": 1e15}' in archive.read("receipt.json")


async def test_jobs_and_index_follow_the_commit(client: Any, redis: Redis) -> None:
    """Both jobs are queued under their names, and the counts know the post."""
    moment = await client.moment()
    post = (await client.upload(moment)).body["id"]

    assert await redis.zrange(ON_TIME, 0, -1) == [f"render_pair:{post}".encode()]
    assert await redis.zrange(FLAGS, 0, -1) == [f"flag_late:{post}".encode()]
    counts = (await client.call("GET", f"/v1/moments/{moment}/summary", "o", "ops")).body
    assert (counts["accepted"], counts["pending"]) == (1, 1)


@pytest.mark.parametrize("case", BAD_PAIRS)
async def test_a_bad_pair_gets_a_clear_problem_and_leaves_nothing(client: Any, redis: Redis, case: str) -> None:
    """The right status and code, `stored: false`, no object, no job."""
    body, status, code = BAD_PAIRS[case]
    answer = await client.upload(await client.moment(), body=body)

    assert (answer.status, answer.body["code"]) == (status, code), answer.raw
    assert answer.content_type == "application/problem+json"
    assert answer.body["stored"] is False
    assert answer.body["detail"]
    assert answer.body["request_id"] == answer.headers["X-Request-Id"]
    assert client.objects("intake") == []
    assert not await redis.exists(*QUEUES)


@pytest.mark.parametrize("size", [(64, 64), (65_500, 64)])
async def test_sizes_at_the_limit_are_taken(client: Any, size: tuple[int, int]) -> None:
    """64 and 65,500 pixels are inside."""
    answer = await client.upload(await client.moment(), body=form(front=jpeg(size), back=GOOD))

    assert answer.status == 201


async def test_a_meta_of_32_levels_is_taken(client: Any) -> None:
    """The limit is inside; every reader of the receipt recurses once a level."""
    assert (await client.upload(await client.moment(), body=form(front=GOOD, back=GOOD, meta=nested(32)))).status == 201


async def test_a_photo_of_exactly_16_mib_is_taken(client: Any) -> None:
    """The limit is the last size that passes."""
    padded = GOOD + bytes(16 * MIB - len(GOOD))
    answer = await client.upload(await client.moment(), body=form(front=padded, back=GOOD))

    assert answer.status == 201


async def test_a_doubled_part_is_refused(client: Any) -> None:
    """Two fronts are not a pair."""
    doubled = form(front=GOOD, back=GOOD).replace(b"--x--\r\n", form(front=GOOD))
    answer = await client.upload(await client.moment(), body=doubled)

    assert (answer.status, answer.body["code"]) == (400, "bad-multipart")


async def test_not_multipart_is_refused(client: Any) -> None:
    """JSON is no pair."""
    answer = await client.upload(
        await client.moment(), body=json.dumps({}), headers={"Content-Type": "application/json"}
    )

    assert (answer.status, answer.body["code"]) == (400, "bad-multipart")


async def test_the_same_pair_again_is_replayed_and_another_conflicts(client: Any) -> None:
    """200 with Idempotent-Replayed and the same post; other photos 409; one object all the while."""
    moment = await client.moment()
    first = await client.upload(moment, body=form(front=GOOD, back=GOOD))
    again = await client.upload(moment, body=form(front=GOOD, back=GOOD))
    other = await client.upload(moment, body=form(front=jpeg((100, 100)), back=GOOD))

    assert (first.status, again.status) == (201, 200)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.body["id"] == first.body["id"]
    assert again.body["received_at"] == first.body["received_at"]
    assert (other.status, other.body["code"]) == (409, "already-posted")
    assert len(client.objects("intake")) == 1


async def test_many_uploads_of_one_pair_at_once_make_one_post(client: Any) -> None:
    """One 201, the others 200: the store decides."""
    moment = await client.moment()
    answers = await asyncio.gather(*(client.upload(moment, body=form(front=GOOD, back=GOOD)) for _ in range(4)))

    assert sorted(answer.status for answer in answers) == [200] * 3 + [201]
    assert len(client.objects("intake")) == 1


async def test_moments_open_and_close(client: Any) -> None:
    """Unknown 404; before it fires 409; a day after 410; between the window's end and then it is taken."""
    now = datetime.now(UTC)
    coming = await client.moment(fires_at=(now + timedelta(hours=1)).isoformat())
    over = await client.moment(fires_at=(now - timedelta(hours=24, seconds=1)).isoformat())
    late = await client.moment(fires_at=(now - timedelta(hours=23)).isoformat())
    answers = [await client.upload(one) for one in ("eu-west-20260101-nothing", "No/such", coming, over)]

    codes = ["no-such-moment", "no-such-page", "moment-not-open", "moment-closed"]
    assert [(one.status, one.body["code"]) for one in answers] == list(zip([404, 404, 409, 410], codes, strict=True))
    assert (await client.upload(late)).status == 201


async def test_received_at_is_believed_from_a_trusted_peer_only(
    make_client: MakeClient,
) -> None:
    """A loopback balancer's word counts; from elsewhere the header is ignored."""
    said = "1700000000123"
    for trusted, believed in (("127.0.0.0/8", True), ("10.0.0.0/8", False)):
        async with make_client(trusted_peers=trusted) as client:
            moment = await client.moment(fires_at="2023-11-14T22:00:00Z")
            answer = await client.upload(moment, user=trusted, headers={"Snapsurge-Received-At": said})
            assert (answer.status == 201) is believed
            if believed:
                assert answer.body["received_at"] == "2023-11-14T22:13:20.123Z"
            else:
                assert answer.body["code"] == "moment-closed"


async def test_a_user_who_is_too_fast_is_limited_alone(
    make_client: MakeClient,
) -> None:
    """The burst passes, the next gets 429 with the fields that say when; another user is not affected."""
    async with make_client(user_uploads_burst=3) as client:
        moment = await client.moment()
        statuses = [(await client.upload(moment)).status for _ in range(3)]
        limited = await client.upload(moment)
        assert statuses == [201, 200, 200]
        assert (limited.status, limited.body["code"]) == (429, "rate-limited")
        assert int(limited.headers["Retry-After"]) >= 1
        assert limited.headers["RateLimit-Policy"] == '"uploads";q=3;w=60'
        assert limited.headers["RateLimit"].startswith('"uploads";r=0;t=')
        assert (await client.upload(moment, user="bob")).status == 201


async def test_over_the_budget_uploads_are_shed(make_client: MakeClient) -> None:
    """An upload holds the only place of first tries: 503, not held against the user; one with a ticket still fits."""
    async with make_client(in_flight_requests_max=2, user_uploads_burst=1) as client:
        moment = await client.moment()
        held = asyncio.Event()

        async def slow() -> AsyncIterator[bytes]:
            yield b"--x\r\n"
            await held.wait()
            yield b"--x--\r\n"

        async with asyncio.TaskGroup() as group:
            first = group.create_task(client.upload(moment, user="slow", body=slow()))
            while b"in_flight_requests 1.0" not in (await client.call("GET", "/metrics")).raw:
                pass
            shed = await client.upload(moment)
            retried = await client.upload(moment, headers={"Snapsurge-Retry": "1"})
            held.set()
        assert retried.status == 201
        assert (shed.status, shed.body["code"], shed.body["stored"]) == (503, "overloaded", False)
        assert int(shed.headers["Retry-After"]) >= 1
        assert first.result().status == 400
        assert (await client.upload(moment, user="bob")).status == 201


async def test_without_redis_a_pair_is_still_accepted(make_client: MakeClient, free_port: int) -> None:
    """201, and the object is there: the sweeper will queue its jobs."""
    async with make_client(redis_address=f"redis://127.0.0.1:{free_port}/0") as client:
        moment = await client.moment()
        answer = await client.upload(moment)
        assert answer.status == 201
        assert len(client.objects("intake")) == 1
        assert (await client.call("GET", answer.headers["Location"])).body["state"] == "accepted"


@pytest.mark.parametrize("fault", [OSError("reset"), ValueError("a bug")])
async def test_nothing_after_the_commit_is_an_error_answer(
    client: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, fault: Exception
) -> None:
    """Whatever keeps the index from being told: 201, the object is there, and the log has the stack."""

    async def add(*_: object, **__: object) -> None:
        raise fault

    monkeypatch.setattr("ingest.announcing.Announcer.add", add)
    answer = await client.upload(await client.moment())

    assert answer.status == 201
    assert len(client.objects("intake")) == 1
    (told,) = [record for record in caplog.records if "the sweeper will queue its jobs" in record.message]
    assert told.exc_info


async def test_a_store_that_is_away_is_our_fault(client: Any) -> None:
    """503 storage-unavailable with Retry-After, and no word that nothing was stored."""
    moment = await client.moment()
    await client.upload(moment, user="first")
    incoming = client.root / ".incoming"
    shutil.rmtree(incoming)
    incoming.write_text("in the way")
    answer = await client.upload(moment)

    assert (answer.status, answer.body["code"], answer.body["stored"]) == (503, "storage-unavailable", "unknown")
    assert int(answer.headers["Retry-After"]) >= 1
