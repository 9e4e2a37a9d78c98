"""What a Redis user must be allowed to do, tested on real ACL users: who lacks something is told what, at once."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from storage import rights
from storage.config import Config
from storage.index import Index
from storage.opening import admitted, redis_client
from storage.refusals import reason
from storage.rights import COMMANDS, RightsMissing, rule
from tests.e2e.test_processors_harness import until


class User:
    """A user `app` of a real Redis, who may do what the test says."""

    def __init__(self, url: str, ops: Redis) -> None:
        self.config = Config(redis_url=url.replace("://", "://app:p%40ss@"), redis_timeout_s=10)
        self.ops = ops

    async def may(self, *rules: str) -> None:
        """Give the user these rights and no others; sessions go on."""
        await self.ops.execute_command("ACL", "SETUSER", "app", "reset", "on", ">p@ss", *rules)


@pytest.fixture
async def user(redis_server: Callable[[], AbstractContextManager[str]]) -> AsyncIterator[User]:
    """On a Redis of its own."""
    with redis_server() as url:
        async with Redis.from_url(url) as ops:
            yield User(url, ops)


async def test_a_user_with_the_documented_rights_is_admitted(user: User) -> None:
    """No right more; that it is enough for all programs, tests/e2e/test_redis_rights.py shows."""
    await user.may(*rule().split())
    await admitted(user.config)
    assert [one["username"] for one in await user.ops.acl_log()] == []


@pytest.mark.parametrize("command", COMMANDS)
async def test_each_right_that_is_missing_is_named(user: User, command: str) -> None:
    """With the Redis, and the rule that gives it; without the password."""
    names = [part for part in rule((command,)).split() if part[0] == "+"]
    await user.may(*rule().split(), *(f"-{name[1:]}" for name in names))
    with pytest.raises(RedisError) as caught:
        await admitted(user.config)
    assert isinstance(caught.value, RightsMissing)
    port = user.ops.connection_pool.connection_kwargs["port"]
    assert f"Redis 127.0.0.1:{port}/0: its user may not run {command.partition(' ')[0]}" in str(caught.value)
    assert names[0] in str(caught.value)
    assert "p@ss" not in str(caught.value)


@pytest.mark.parametrize(
    ("rules", "named"),
    [
        ("~* +@all -info", "INFO: add"),
        ("~* +@all -@dangerous", "INFO: add"),
        ("~snapsurge:* +@all", "~arq:*"),
        ("~* +@all -eval", "EVAL: add"),
    ],
)
async def test_rules_as_administrators_write_them(user: User, rules: str, named: str) -> None:
    """What seems harmless, and what is meant to be on the safe side."""
    await user.may(*rules.split())
    with pytest.raises(RightsMissing) as caught:
        await admitted(user.config)
    assert named in str(caught.value)


async def test_a_redis_that_does_not_answer_is_tested_when_it_does(
    user: User, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No program waits for it; its first connection says once, as an error, what is missing, and when it is mended."""
    await user.may("off")
    await admitted(user.config)
    client = redis_client(user.config)
    await user.may("~*", "+@all", "-info")
    monkeypatch.setattr(rights, "AGAIN_S", 1e9)
    for _ in range(20):
        with pytest.raises(RightsMissing, match="INFO"):
            await client.get("any")
    assert [record.levelname for record in caplog.records if "may not run INFO" in record.message] == ["ERROR"]
    assert (await user.ops.info("stats"))["total_connections_received"] < 15
    monkeypatch.setattr(rights, "AGAIN_S", 0.0)

    await user.may("~*", "+@all")

    async def mended() -> bool:
        try:
            return await client.get("any") is None
        except RightsMissing:
            return False

    await until(mended)
    assert "its user has all rights now" in caplog.text
    await client.aclose()


async def test_a_right_that_is_taken_away_later_is_named_too(user: User) -> None:
    """Redis' own word for a script is only that it can't run this command."""
    await user.may("~*", "+@all")
    client = redis_client(user.config)
    await Index(client).counts_are_complete("moment")
    await user.may("~*", "+@all", "-info")

    async def named() -> bool:
        try:
            await Index(client).counts("moment")
        except RightsMissing as error:
            return "INFO" in str(error)
        except RedisError:
            return False
        return False

    await until(named)
    await client.aclose()


async def test_a_refusal_says_of_which_redis_it_is(user: User) -> None:
    """Its own text does not, and there are several shards."""
    await user.may("~*", "+@all")
    client = redis_client(user.config)
    await client.ping()
    await user.ops.config_set("maxmemory", 1)
    with pytest.raises(RedisError) as alone:
        await client.set("any", "1")
    pipe = client.pipeline(transaction=False)
    with pytest.raises(RedisError) as in_a_pipeline:
        await pipe.set("any", "1").execute()
    await client.aclose()

    port = user.ops.connection_pool.connection_kwargs["port"]
    for caught in (alone, in_a_pipeline):
        assert reason(caught.value).startswith(f"Redis 127.0.0.1:{port}/0: OOM: ")
