"""The calls about moments on a real node: creation, limits of its fields, current, summary, pages."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from redis.asyncio import Redis


async def test_a_moment_is_created_and_found(client: Any) -> None:
    """201 with its times, the same from every way to ask for it."""
    made = await client.call("POST", "/v1/moments", "o", "ops", json={"region": "asia-west", "window_s": 60})
    moment = made.body

    assert made.status == 201
    assert made.headers["Location"] == f"/v1/moments/{moment['id']}"
    opened, closed = (datetime.fromisoformat(moment[name]) for name in ("fires_at", "closes_at"))
    assert closed - opened == timedelta(seconds=60)
    assert (await client.call("GET", f"/v1/moments/{moment['id']}")).body == moment
    assert (await client.call("GET", "/v1/moments/current?region=asia-west")).body == moment


@pytest.mark.parametrize(
    "wanted",
    [
        {},
        {"region": ""},
        {"region": "EU"},
        {"region": "a/b"},
        {"region": "x" * 33},
        {"region": "eu", "window_s": 0},
        {"region": "eu", "window_s": 86_401},
        {"region": "eu", "fires_at": "tomorrow"},
        {"region": "eu", "fires_at": "2026-01-01T00:00:00"},
        {"region": "eu", "colour": "red"},
        {"region": "eu\n"},
        *(
            {"region": "eu", "fires_at": f"{day}T00:00:00Z"}
            for day in ("9999-12-31", "2100-01-01", "1999-12-31", "0001-01-01")
        ),
        {"region": "eu", "fires_at": "2000-01-01T00:00:00+00:01"},
        [],
    ],
)
async def test_bad_wishes_are_refused(client: Any, wanted: Any) -> None:
    """400 with a word on the field; nothing is made."""
    answer = await client.call("POST", "/v1/moments", "o", "ops", json=wanted)

    assert (answer.status, answer.body["code"]) == (400, "bad-request")
    assert not (client.root / "moments").exists()


FIRST_AND_LAST = ("2000-01-01T00:00:00Z", "2099-12-31T23:59:59.999Z")


@pytest.mark.parametrize("wanted", [{"region": "x" * 32}, {"region": "eu", "window_s": 86_400}, {"region": "a-1-b"},
                                    *({"region": "eu", "fires_at": at} for at in FIRST_AND_LAST)])  # fmt: skip
async def test_wishes_at_the_limits_are_granted(client: Any, wanted: dict[str, Any]) -> None:
    """The last good value is good."""
    assert (await client.call("POST", "/v1/moments", "o", "ops", json=wanted)).status == 201


async def test_only_ops_may_create_and_count(client: Any) -> None:
    """403 for phones, 401 for nobody; an overlong body 413."""
    moment = await client.moment()
    for method, path in (("POST", "/v1/moments"), ("GET", f"/v1/moments/{moment}/summary"),
                         ("GET", f"/v1/moments/{moment}/posts")):  # fmt: skip
        assert (await client.call(method, path)).status == 403
        assert (await client.call(method, path, headers={"Authorization": ""})).status == 401
    long = await client.call("POST", "/v1/moments", "o", "ops", data=b" " * 4097)
    assert (long.status, long.body["code"]) == (413, "too-large")


async def test_current_never_tells_of_a_moment_to_come(client: Any) -> None:
    """Nobody knows the time before it fires; a day later it is nobody's current one."""
    now = datetime.now(UTC)
    await client.moment(region="r", fires_at=(now + timedelta(seconds=90)).isoformat())
    await client.moment(region="r", fires_at=(now - timedelta(hours=25)).isoformat())

    assert (await client.call("GET", "/v1/moments/current?region=r")).body["code"] == "no-such-moment"
    assert (await client.call("GET", "/v1/moments/current")).status == 400
    assert (await client.call("GET", "/v1/moments/eu-20260101-none")).status == 404


async def test_pages_walk_every_post_once(client: Any) -> None:
    """Small pages give all posts; a bad limit or cursor is refused."""
    moment = await client.moment()
    made = {(await client.upload(moment, user=f"u{number}")).body["id"] for number in range(7)}
    seen: list[str] = []
    cursor = ""
    while cursor is not None:
        path = f"/v1/moments/{moment}/posts?limit=3" + (f"&cursor={cursor}" if cursor else "")
        page = (await client.call("GET", path, "o", "ops")).body
        seen += [post["id"] for post in page["posts"]]
        cursor = page["next"]

    assert sorted(seen) == sorted(made)
    for query in ("limit=0", "limit=1001", "limit=" + "9" * 5000, "limit=x", "cursor=zzz"):
        assert (await client.call("GET", f"/v1/moments/{moment}/posts?{query}", "o", "ops")).status == 400
    counts = (await client.call("GET", f"/v1/moments/{moment}/summary", "o", "ops")).body
    assert counts == {"accepted": 7, "on_time": 0, "late": 0, "ready": 0, "rejected": 0, "pending": 7}


async def test_a_moment_that_cannot_be_read_is_our_fault(make_client: Any, redis: Redis) -> None:
    """503 for whoever asks or posts, who may come again: nobody is told that there is no such moment."""
    async with make_client() as client:
        moment_id = await client.moment()
        (client.root / "moments" / f"{moment_id}.json").write_bytes(b"rubbish")
    await redis.flushall()
    async with make_client() as client:
        for answer in (await client.call("GET", f"/v1/moments/{moment_id}"), await client.upload(moment_id)):
            assert (answer.status, answer.body["code"]) == (503, "storage-unavailable")
            assert "Retry-After" in answer.headers


def later(**delta: float) -> str:
    """A time so far from now."""
    return (datetime.now(UTC) + timedelta(**delta)).isoformat(timespec="milliseconds")


async def test_a_moment_is_changed_until_it_fires(client: Any) -> None:
    """200 with the moment as it is then; an upload is judged by it; afterwards 409, by a stable code."""
    moment = await client.moment(fires_at=later(minutes=30))
    path = f"/v1/moments/{moment}"
    sooner = later(seconds=4)

    changed = await client.call("PATCH", path, "o", "ops", json={"fires_at": sooner, "window_s": 60})

    assert changed.status == 200
    assert (changed.body["window_s"], changed.body["revision"]) == (60, 1)
    assert datetime.fromisoformat(changed.body["fires_at"]) == datetime.fromisoformat(sooner)
    assert (await client.call("GET", path)).body == changed.body
    assert (await client.upload(moment)).body["code"] == "moment-not-open"
    opened = await client.moment()
    for method, options in (("PATCH", {"json": {"window_s": 90}}), ("DELETE", {})):
        answer = await client.call(method, f"/v1/moments/{opened}", "o", "ops", **options)
        assert (answer.status, answer.body["code"]) == (409, "moment-fired")
    assert (await client.upload(opened)).status == 201


@pytest.mark.parametrize(
    "wanted",
    [{}, [], {"window_s": 0}, {"region": "us"}, {"fires_at": "tomorrow"}, {"fires_at": "2020-01-01T00:00:00Z"}],
)
async def test_bad_changes_are_refused(client: Any, wanted: Any) -> None:
    """400 with a word on the field; nothing changes."""
    path = f"/v1/moments/{await client.moment(fires_at=later(minutes=30))}"
    before = (await client.call("GET", path)).body

    answer = await client.call("PATCH", path, "o", "ops", json=wanted)

    assert (answer.status, answer.body["code"]) == (400, "bad-request")
    assert (await client.call("GET", path)).body == before


async def test_a_cancelled_moment_is_as_if_it_never_was(client: Any) -> None:
    """204, also again; 404 for everybody who asks for it, and no list has it."""
    moment = await client.moment(fires_at=later(minutes=30))
    path = f"/v1/moments/{moment}"

    assert (await client.call("DELETE", path, "o", "ops")).status == 204
    assert (await client.call("DELETE", path, "o", "ops")).status == 204
    assert (await client.call("GET", path)).body["code"] == "no-such-moment"
    assert (await client.call("PATCH", path, "o", "ops", json={"window_s": 9})).body["code"] == "no-such-moment"
    assert (await client.upload(moment)).body["code"] == "no-such-moment"
    assert (await client.call("GET", "/v1/moments", "o", "ops")).body == {"moments": [], "next": None}
    assert (await client.call("DELETE", "/v1/moments/eu-20260101-none", "o", "ops")).status == 404


async def test_only_ops_change_and_list_moments(client: Any) -> None:
    """A user's token is not enough."""
    path = f"/v1/moments/{await client.moment(fires_at=later(minutes=30))}"

    for method, where, options in (
        ("PATCH", path, {"json": {"window_s": 9}}),
        ("DELETE", path, {}),
        ("GET", "/v1/moments", {}),
    ):
        assert (await client.call(method, where, **options)).body["code"] == "forbidden"


async def test_moments_are_listed_by_pages(client: Any) -> None:
    """Of a region, of a time range, so many a page; a malformed parameter is named."""
    made = []
    for hours in (-1, 1, 2):
        made += [await client.moment(region=region, fires_at=later(hours=hours)) for region in ("eu", "us")]
    made.sort()

    async def listed(query: str) -> list[str]:
        answer = await client.call("GET", f"/v1/moments?{query}", "o", "ops")
        assert answer.status == 200, answer.raw
        return [one["id"] for one in answer.body["moments"]]

    first = (await client.call("GET", "/v1/moments?limit=4", "o", "ops")).body
    assert [one["id"] for one in first["moments"]] == made[:4]
    assert await listed(f"limit=4&cursor={first['next']}") == made[4:]
    assert await listed("region=us") == [one for one in made if one.startswith("us-")]
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert (len(await listed(f"from={now}")), len(await listed(f"to={now}"))) == (4, 2)
    assert (await client.call("HEAD", "/v1/moments", "o", "ops")).status == 200
    for bad in ("limit=0", "cursor=/etc", "cursor=", "region=", "from=now"):
        answer = await client.call("GET", f"/v1/moments?{bad}", "o", "ops")
        assert (answer.status, answer.body["code"]) == (400, "bad-request")


async def test_a_change_that_redis_missed_is_told(make_client: Any, free_port: int) -> None:
    """503 and "send it again": the change is stored, and a copy of the former may be in use."""
    async with make_client(redis_address=f"redis://127.0.0.1:{free_port}/0") as client:
        moment = await client.moment(fires_at=later(minutes=30))

        answer = await client.call("DELETE", f"/v1/moments/{moment}", "o", "ops")

        assert (answer.status, answer.body["code"]) == (503, "storage-unavailable")
        assert "Retry-After" in answer.headers
        assert (await client.call("GET", f"/v1/moments/{moment}")).status == 404
