"""A Redis that answers but refuses: each refusal is really caused, recognised, told in few words, and dialled anew."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager

import pytest
from redis.asyncio import Redis
from redis.exceptions import AuthenticationError, RedisError, ResponseError

from storage.config import Config
from storage.index import Counts, Index
from storage.opening import redis_client
from storage.records import Post
from storage.refusals import REASON_CHARS_MAX, is_refusal, reason
from tests.refusing_redis import CAUSES, loading, operator
from tests.reports import observed

SECRET = "user-4711"

# These tests look into redis-py's pool (`_available_connections`) and connections (`_writer`): it has no public way to
# say which connections are idle, or whether a connection was made anew.


@pytest.fixture
def own_url(redis_server: Callable[[], AbstractContextManager[str]]) -> Iterator[str]:
    """The address of a Redis that this test may break."""
    with redis_server() as url:
        yield url


@pytest.fixture
async def ops(own_url: str) -> AsyncIterator[Redis]:
    """An operator's client of it, connected before anything is broken."""
    async with operator(own_url) as client:
        yield client


def _older(client: Redis) -> None:
    """As if its connections had been dialled long ago."""
    for one in client.connection_pool._available_connections:
        one.dialled_s -= 3600


async def _asking(client: Redis) -> None:
    while True:
        await client.get("key 1")


async def _ask(client: Redis, how: str, verb: str) -> None:
    """One command that is refused, in one of the three ways in which we ask."""
    words = (verb, SECRET, "1")[: 2 + (verb == "SET")]
    if how == "plain":
        await client.execute_command(*words)
        return
    pipe = client.pipeline(transaction=False)
    if how == "pipeline":
        await pipe.execute_command(*words).set("b", "2").execute()  # type: ignore[union-attr] # redis-py's types
    else:
        await pipe.eval("return redis.call(unpack(ARGV))", 0, *words, "x" * 4000).execute()  # type: ignore[union-attr]


@pytest.mark.parametrize("code", CAUSES)
@pytest.mark.parametrize("how", ["plain", "pipeline", "script"])
async def test_a_refusal_is_known_and_the_next_command_dials_anew(
    own_url: str, ops: Redis, code: str, how: str
) -> None:
    """In whatever way it comes: a RedisError, its reason short and without the command; the session is given up."""
    client = redis_client(Config(redis_url=own_url))
    try:
        await client.ping()
        (session,) = client.connection_pool._available_connections
        _older(client)
        writer = session._writer
        await CAUSES[code](ops, own_url)
        with pytest.raises(RedisError) as caught:
            await _ask(client, how, "GET" if code == "MASTERDOWN" else "SET")
        assert is_refusal(caught.value)
        assert f": {code}: " in reason(caught.value)
        assert SECRET not in f"{caught.value!r} {reason(caught.value)}"
        assert len(reason(caught.value)) <= REASON_CHARS_MAX
        with contextlib.suppress(RedisError):
            await client.set(SECRET, "1")
        assert session._writer is not writer
    finally:
        await client.aclose()
        if code == "BUSY":
            await ops.script_kill()


async def test_a_server_that_goes_on_refusing_is_not_dialled_for_every_command(own_url: str, ops: Redis) -> None:
    """The session that was just dialled is kept for a while: ports are finite."""
    client = redis_client(Config(redis_url=own_url))
    await CAUSES["OOM"](ops, own_url)
    before = (await ops.info("stats"))["total_connections_received"]
    try:
        for _ in range(50):
            with pytest.raises(RedisError):
                await client.set("a", "1")
        assert (await ops.info("stats"))["total_connections_received"] - before < 25
    finally:
        await client.aclose()


async def test_a_refusal_ends_the_sessions_of_readers_too(own_url: str, ops: Redis) -> None:
    """A replica answers readers for ever: one refused write outdates the whole pool."""
    client = redis_client(Config(redis_url=own_url))
    try:
        await asyncio.gather(client.ping(), client.ping(), client.ping())
        there = list(client.connection_pool._available_connections)
        assert len(there) == 3
        await CAUSES["READONLY"](ops, own_url)
        with pytest.raises(RedisError):
            await client.set("a", "1")
        assert all(one.outdated for one in there)
        _older(client)
        sessions = [one._writer for one in there]
        await asyncio.gather(client.ping(), client.ping(), client.ping())
        assert not {*sessions} & {one._writer for one in there}
    finally:
        await client.aclose()


async def test_a_wrong_command_is_no_refusal(own_url: str) -> None:
    """Another server would say the same: the session stays."""
    client = redis_client(Config(redis_url=own_url))
    try:
        await client.set("text", "1")
        (session,) = client.connection_pool._available_connections
        _older(client)
        writer = session._writer
        for wrong in (
            client.hget("text", "a"),
            client.evalsha("0" * 40, 0),
            client.eval("return redis.call('HGET', 'text', 'a')", 0),
            client.eval("nonsense(", 0),
            client.execute_command("NOSUCH", SECRET),
        ):
            with pytest.raises(ResponseError) as caught:
                await wrong  # type: ignore[misc] # redis-py's types
            assert not is_refusal(caught.value)
            assert SECRET not in reason(caught.value)
        assert await client.ping()
        assert session._writer is writer
        assert not session.outdated
    finally:
        await client.aclose()


async def test_who_is_not_let_in_is_refused(own_url: str, ops: Redis) -> None:
    """No password, and no room: redis-py closes such sessions itself."""
    await ops.config_set("requirepass", "open sesame")
    client = redis_client(Config(redis_url=own_url))
    with pytest.raises(AuthenticationError) as unknown:
        await client.ping()
    assert is_refusal(unknown.value)
    assert reason(unknown.value).endswith(": NOAUTH: Authentication required.")
    await ops.config_set("requirepass", "")
    await ops.config_set("maxclients", 1)
    with pytest.raises(RedisError):
        await client.ping()
    await ops.config_set("maxclients", 100)
    assert await client.ping()
    await client.aclose()


async def test_a_replica_that_is_loading_refuses(
    own_url: str, ops: Redis, redis_server: Callable[[], AbstractContextManager[str]]
) -> None:
    """LOADING, while it takes over its primary's data; afterwards it answers."""
    client = redis_client(Config(redis_url=own_url))
    try:
        await client.ping()
        async with loading(ops, redis_server):
            with pytest.raises(RedisError) as caught:
                await _asking(client)
            assert is_refusal(caught.value)
            assert reason(caught.value).partition(": ")[2].startswith("LOADING: ")
            await ops.config_set("key-load-delay", 0)
            while True:
                with contextlib.suppress(RedisError):
                    if await client.get("key 1"):
                        break
    finally:
        await client.aclose()


def test_a_reason_is_short_whatever_the_error() -> None:
    """Code or class, first line, no command, no arguments, no script."""
    long = ResponseError(f"Command # 3 (EVALSHA {SECRET} of pipeline) of pipeline caused error: MISCONF no disk\nmore")
    assert reason(long) == "MISCONF: no disk"
    assert is_refusal(long)
    assert reason(ResponseError("CLUSTERDOWN Hash slot not served")) == "CLUSTERDOWN: Hash slot not served"
    assert reason(ResponseError("")) == "ERR"
    assert reason(TimeoutError()) == "TimeoutError"
    assert len(reason(OSError("x" * 5000))) == REASON_CHARS_MAX
    assert not is_refusal(OSError())


async def test_counts_of_a_demoted_primary_are_not_complete(ops: Redis, make_post: Callable[..., Post]) -> None:
    """A replica may be behind for ever; the primary again, it may lack what another one heard meanwhile."""
    index, post = Index(ops), make_post()
    await observed(index, [post])
    await index.counts_are_complete(post.moment_id)
    assert await index.counts(post.moment_id) == Counts(accepted=1, pending=1)
    await ops.replicaof("127.0.0.1", 1)
    with pytest.raises(RedisError, match="read only replica"):
        await index.counts(post.moment_id)
    await ops.replicaof("NO", "ONE")
    assert await index.counts(post.moment_id) is None
