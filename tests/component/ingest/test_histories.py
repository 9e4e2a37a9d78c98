"""The history of a post over HTTP, from what a node and a worker wrote."""

from typing import Any

from redis.asyncio import Redis

from storage.keys import post_id
from storage.queue.jobs import COMMITTED, decode
from storage.records import to_ms

from .test_posts import finish


async def test_the_history_is_for_operators_and_names_no_user(client: Any, redis: Redis) -> None:
    """Of a post that waits, and of one that is ready; another scope gets 403, an unknown post 404."""
    made = await client.upload(await client.moment())
    path = f"{made.headers['Location']}/history"
    waiting = await client.call("GET", path, "o", "ops")
    await finish(client, redis, made.headers["Location"])
    ready = await client.call("GET", path, "o", "ops")

    assert (waiting.status, ready.status) == (200, 200)
    assert [one["name"] for one in waiting.body["steps"]] == ["receive", "commit"]
    assert (waiting.body["state"], ready.body["state"]) == ("accepted", "ready")
    assert waiting.body["request_id"] == made.headers["X-Request-Id"]
    assert waiting.body["retry"] is False
    assert b"alice" not in waiting.raw + ready.raw
    assert (await client.call("GET", path)).body["code"] == "forbidden"
    assert (await client.call("HEAD", path, "o", "ops")).status == 200
    for nobody in ("x", post_id(made.body["moment_id"], "nobody")):
        assert (await client.call("GET", f"/v1/posts/{nobody}/history", "o", "ops")).body["code"] == "no-such-post"


async def test_a_pair_that_cannot_be_read_is_no_post_that_is_not_there(client: Any, redis: Redis) -> None:
    """What the record has is told, and that the pair is damaged; without a record that alone."""
    made = await client.upload(await client.moment())
    (stored,) = client.root.rglob(f"*{made.body['id']}*")
    stored.write_bytes(b"damaged" * 50)
    path = made.headers["Location"]

    told = await client.call("GET", f"{path}/history", "o", "ops")
    assert (told.status, told.body["damaged"], told.body["state"]) == (200, True, "accepted")
    assert told.body["received_at"] == made.body["received_at"]
    assert (await client.call("GET", f"{path}/meta")).body["code"] == "pair-damaged"
    await redis.flushall()
    for call in ((path,), (f"{path}/history", "o", "ops"), (f"{path}/photos/front/feed",)):
        answer = await client.call("GET", *call)
        assert (answer.status, answer.body["code"]) == (410, "pair-damaged")


async def test_a_retry_tells_of_its_first_try(client: Any) -> None:
    """`received_at` is the first try's, the head that of the try that was accepted."""
    moment = await client.moment()
    fired_ms = to_ms((await client.call("GET", f"/v1/moments/{moment}")).body["fires_at"])
    fields = {"Snapsurge-Received-At": fired_ms + 1, "Snapsurge-Tried-At": fired_ms + 41, "Snapsurge-Retry": "1"}
    made = await client.upload(moment, headers={name: str(value) for name, value in fields.items()})

    told = (await client.call("GET", f"{made.headers['Location']}/history", "o", "ops")).body

    assert told["retry"] is True
    assert told["steps"][0] == {"name": "retry", "kind": "wait", "where": "", "from_ms": 0, "to_ms": 40}


async def test_the_job_says_when_its_pair_was_committed(client: Any, redis: Redis) -> None:
    """Beside arq's own fields; before it was queued."""
    made = await client.upload(await client.moment())

    body = decode(await redis.get(f"arq:job:render_pair:{made.body['id']}"))

    assert to_ms(made.body["received_at"]) <= body[COMMITTED] <= body["et"]
    assert COMMITTED not in decode(await redis.get(f"arq:job:flag_late:{made.body['id']}"))
