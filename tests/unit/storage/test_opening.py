"""Addresses become a store and a Redis client."""

import socket
from pathlib import Path

import pytest
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from storage.config import Config
from storage.files import FileStore
from storage.opening import blob_store, redis_client, shard_clients
from storage.s3.address import S3Address
from storage.s3.store import S3Store


async def test_a_file_address_is_a_folder(tmp_path: Path) -> None:
    """The path as it is, escapes undone; opening makes it."""
    store = blob_store(Config(store_url=f"file://{tmp_path}/a%20b/c"))
    assert isinstance(store, FileStore)
    async with store:
        await store.create("00/x", b"here")

    assert (tmp_path / "a b" / "c" / "00" / "x").read_bytes() == b"here"


def test_an_s3_address_is_a_bucket() -> None:
    """Bucket, endpoint and region arrive."""
    store = blob_store(Config(store_url="s3://photos?endpoint=http://127.0.0.1:9000&region=eu-west-1"))

    assert isinstance(store, S3Store)
    assert store.address == S3Address("photos", ("http://127.0.0.1:9000",), "eu-west-1")


@pytest.mark.parametrize(
    "url", ["", "/data", "file:data", "file://data", "file://", "s3://", "s3:bucket", "gs://bucket", "http://x/y"]
)
def test_what_is_no_address_is_refused(url: str) -> None:
    """ValueError that says how to write one."""
    with pytest.raises(ValueError, match="not a store address"):
        blob_store(Config(store_url=url))


@pytest.mark.parametrize(
    "url",
    [
        *("s3://key:open-sesame@photos", "s3://photos?endpoint=http://key:open-sesame@127.0.0.1:9000"),
        *("s3://photos?open-sesame", "s3://photos?secret=open-sesame", "s3://photos?endpoint=http://h:open-sesame"),
        *("s3://[open-sesame]", "ftp://open-sesame", "s3://photos/open-sesame"),
    ],
)
def test_keys_in_a_store_address_are_refused_and_not_shown(url: str) -> None:
    """The error is printed and logged, and so are the endpoints of an address that is good."""
    with pytest.raises(ValueError, match="not a store address") as caught:
        blob_store(Config(store_url=url))
    assert "sesame" not in str(caught.value)


async def test_a_redis_that_is_away_is_an_error_soon(free_port: int) -> None:
    """A refused connection is a RedisError, the one error that callers wait for."""
    client = redis_client(Config(redis_url=f"redis://127.0.0.1:{free_port}/0"))
    try:
        with pytest.raises(RedisError):
            await client.ping()
    finally:
        await client.aclose()


async def test_a_redis_that_takes_nothing_is_an_error_soon() -> None:
    """Sending has its time, like connecting and answering, and what was half sent is not sent on."""
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        url = f"redis://127.0.0.1:{deaf.getsockname()[1]}/0?protocol=2"
        client = redis_client(Config(redis_url=url, redis_timeout_s=0.2))
        connection = client.connection_pool.make_connection()
        connection.rights.tested = True
        connection.lib_name = connection.lib_version = None  # who connects says who he is, and waits for an answer
        await connection.connect()
        with pytest.raises(RedisTimeoutError, match="writing"):
            await connection.send_command("SET", "key", bytes(64 << 20))
        assert not connection.is_connected
        assert connection.socket_timeout == 0.2
        await client.aclose()


async def test_each_shard_has_a_client() -> None:
    """Named without credentials, for names are logged; the one Redis where nothing else is said; none twice."""
    addresses = "redis://:secret@one:1/0, redis://two:2/0"
    config = Config(redis_url="redis://two:2/0", shard_urls=addresses)
    redis = redis_client(config)

    clients = shard_clients(config, redis)

    assert list(clients) == ["one:1/0", "two:2/0"]
    assert [client is redis for client in clients.values()] == [False, True]
    assert shard_clients(Config(redis_url="redis://only:3/1"), redis) == {"only:3/1": redis}
    with pytest.raises(ValueError, match="twice"):
        shard_clients(Config(shard_urls="redis://one:1/0,redis://user:pw@one:1/0"), redis)


async def test_the_sentinels_of_one_address_are_not_several_addresses() -> None:
    """Both lists are separated by commas."""
    groups = "redis+sentinel://a:1,b:2/first/0,redis+sentinel://a:1,b:2/second/0, unix:///run/s?db=1,redis://c"
    config = Config(shard_urls=groups)

    names = ["a:1,b:2/first/0", "a:1,b:2/second/0", "/run/s?db=1", "c:6379/0"]
    assert list(shard_clients(config, redis_client(config))) == names


def test_a_bad_address_is_refused_by_the_name_of_its_setting() -> None:
    """Before anything is started."""
    with pytest.raises(ValueError, match="SNAPSURGE_REDIS_URL: not the address of a Redis"):
        redis_client(Config(redis_url="localhost:6379"))
    config = Config(shard_urls="redis://one:1/0,redis://two:1/x")
    with pytest.raises(ValueError, match=r"SNAPSURGE_SHARD_URLS: .*the database is not a number"):
        shard_clients(config, redis_client(config))


async def test_the_former_name_of_the_shards_works_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    """Alone; beside the new name it is an error, because they may differ."""
    config = Config(queue_urls="redis://one:1/0,redis://two:2/0")

    assert list(shard_clients(config, redis_client(config))) == ["one:1/0", "two:2/0"]
    assert "SNAPSURGE_SHARD_URLS" in caplog.text
    with pytest.raises(ValueError, match="set only the latter"):
        shard_clients(Config(queue_urls="redis://one:1/0", shard_urls="redis://one:1/0"), redis_client(config))
