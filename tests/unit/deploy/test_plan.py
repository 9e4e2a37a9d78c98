"""The plan of a stack: which programs, how started, in which order drained."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from deploy.plan import READS_HASH, Drains, Options, Plan, Surroundings, plan
from deploy.ports import Ports
from deploy.supervisor import Program

SECRET = "s" * 32


@pytest.fixture
def ports() -> Iterator[Ports]:
    """Real ones."""
    with Ports() as kept:
        yield kept


def planned(ports: Ports, state: Path, **given: object) -> Plan:
    """A plan in a state directory; the caller's environment has settings of its own."""
    environment = {"SNAPSURGE_LB_DRAIN_S": "3", "SNAPSURGE_STORE_URL": "s3://stale", "HOME": "/home/me"}
    options = msgspec.convert({"port": 0} | given, Options)
    return plan(options, ports, Surroundings(state, Path("/src"), environment, SECRET))


def programs(found: Plan) -> list[Program]:
    """All of them."""
    return [
        *([found.redis_server] if found.redis_server else []),
        *(server.program for server in found.store_servers),
        *(node.program for node in found.nodes),
        found.autoscaler.program,
        *(each.program for each in found.balancers),
    ]


def test_the_default_stack_has_two_balancers_and_three_nodes(ports: Ports, tmp_path: Path) -> None:
    """On the embedded defaults: own Redis, files for a store."""
    found = planned(ports, tmp_path)

    names = [program.name for program in programs(found)]
    assert names == ["redis", "node-a", "node-b", "node-c", "autoscaler", "lb-1", "lb-2"]
    assert found.store == (tmp_path / "store").as_uri()
    assert len({url for each in found.balancers for url in (each.url, each.admin)}) == 4


def test_every_program_gets_the_stacks_addresses_and_keeps_settings_of_its_own(ports: Ports, tmp_path: Path) -> None:
    """Stale addresses of the caller's environment lose, other settings pass."""
    found = planned(ports, tmp_path)

    for program in (found.nodes[0].program, found.autoscaler.program, found.balancers[0].program):
        assert program.environment["SNAPSURGE_STORE_URL"] == found.store
        assert program.environment["SNAPSURGE_REDIS_URL"] == found.redis
        assert program.environment["SNAPSURGE_AUTH_SECRET"] == SECRET
        assert program.environment["SNAPSURGE_LB_DRAIN_S"] == "3"
    snapshots = {each.program.environment["SNAPSURGE_LB_SNAPSHOT"] for each in found.balancers}
    assert snapshots == {str(tmp_path / "lb-1.json"), str(tmp_path / "lb-2.json")}


def test_balancers_share_a_ticket_secret(ports: Ports, tmp_path: Path) -> None:
    """Drawn from the tokens' secret, the same for all and in every life, and not that secret itself."""
    found = planned(ports, tmp_path)
    secrets = {each.program.environment["SNAPSURGE_LB_TICKET_SECRET"] for each in found.balancers}

    assert len(secrets) == 1
    assert found.secret not in secrets


def test_nodes_share_a_link_secret(ports: Ports, tmp_path: Path) -> None:
    """Drawn from the tokens' secret, and not that secret nor that of tickets; the caller's own, also an empty one."""
    found = planned(ports, tmp_path)
    name = "SNAPSURGE_INGEST_LINK_SECRET"
    (secret,) = {each.program.environment[name] for each in found.nodes}
    tickets = found.balancers[0].program.environment["SNAPSURGE_LB_TICKET_SECRET"]

    assert len({secret, found.secret, tickets}) == 3
    assert len(secret) >= 32
    for own in ("", "n" * 32):
        around = Surroundings(tmp_path, Path("/src"), {name: own}, SECRET)
        again = plan(msgspec.convert({"port": 0}, Options), ports, around)
        assert {each.program.environment[name] for each in again.nodes} == {own}


def test_reads_are_placed_by_their_post(ports: Ports, tmp_path: Path) -> None:
    """At every balancer, by a pattern that it knows."""
    for each in planned(ports, tmp_path).balancers:
        words = each.program.command
        assert words[words.index("--hash-reads-on") + 1] == READS_HASH == "path:/v1/posts/*"


def test_the_drain_goes_against_the_stream(ports: Ports, tmp_path: Path) -> None:
    """Balancers, nodes, workers, store, Redis; and only the workers give way."""
    found = planned(ports, tmp_path)

    places = [program.drains for program in programs(found)]
    assert places == [Drains.REDIS, *[Drains.NODE] * 3, Drains.AUTOSCALER, *[Drains.BALANCER] * 2]
    assert [place.name for place in sorted(Drains)] == [
        "BALANCER",
        "NODE",
        "AUTOSCALER",
        "STORE",
        "REDIS",
        "PROMETHEUS",
    ]
    assert [program.name for program in programs(found) if program.nice] == ["autoscaler"]


def test_nodes_listen_where_their_address_says(ports: Ports, tmp_path: Path) -> None:
    """Id and port go to the program as they stand in the record."""
    found = planned(ports, tmp_path, nodes=2)

    for node in found.nodes:
        words = node.program.command
        assert words[-6:] == ("--listen", node.url.removeprefix("http://"), "--id", node.id, "--log", "json")


def test_balancers_follow_the_port(ports: Ports, tmp_path: Path) -> None:
    """P, P + 1, and so on."""
    with Ports() as other:
        base = other.free()
    found = planned(ports, tmp_path, port=base, balancers=1)

    assert found.balancers[0].url == f"http://127.0.0.1:{base}"


@pytest.fixture
def minio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The path of something named minio."""
    program = tmp_path / "minio"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    return str(program)


@pytest.mark.usefixtures("minio")
def test_an_own_minio_is_planned_with_its_keys(ports: Ports, tmp_path: Path) -> None:
    """Server, address and keys fit each other."""
    found = planned(ports, tmp_path, store="minio")

    (server,) = found.store_servers
    endpoint = server.health.removesuffix("/minio/health/ready")
    assert found.store == f"s3://snapsurge?endpoint={endpoint}&region=us-east-1"
    assert found.nodes[0].program.environment["AWS_ACCESS_KEY_ID"]


def test_a_minio_of_four_members_is_one_set(ports: Ports, tmp_path: Path, minio: str) -> None:
    """Every member knows all drives and its own address; the stack has all of them for endpoints, and waits for all."""
    found = planned(ports, tmp_path, store="minio", minio_members=4)

    names = [server.program.name for server in found.store_servers]
    assert names == ["minio-1", "minio-2", "minio-3", "minio-4"]
    commands = [server.program.command for server in found.store_servers]
    assert {command[:4] for command in commands} == {(minio, "server", "--quiet", "--address")}
    drives = {command[5:] for command in commands}
    assert [len(one) for one in drives] == [4]
    endpoints = [f"http://{command[4]}" for command in commands]
    assert found.store == f"s3://snapsurge?endpoint={','.join(endpoints)}&region=us-east-1"
    assert [server.health for server in found.store_servers] == [f"{one}/minio/health/cluster" for one in endpoints]
    own = [server.program.environment["_MINIO_SERVER_LOCAL"] for server in found.store_servers]
    assert own == [command[4] for command in commands]


@pytest.mark.parametrize("store", ["file", "s3://b?endpoint=http://h:9000"])
def test_members_are_for_an_own_minio(ports: Ports, tmp_path: Path, store: str) -> None:
    """Not for files, and not for a store that runs elsewhere."""
    with pytest.raises(ValueError, match="--minio-members is for --store minio"):
        planned(ports, tmp_path, store=store, minio_members=4)


def test_a_given_store_and_redis_are_used_as_they_are(ports: Ports, tmp_path: Path) -> None:
    """Nothing of our own is started for them."""
    found = planned(ports, tmp_path, store="s3://b?endpoint=http://h:9000", redis="redis://h:6379/3")

    assert (found.store, found.redis) == ("s3://b?endpoint=http://h:9000", "redis://h:6379/3")
    assert (found.redis_server, found.store_servers) == (None, ())


def test_a_redis_that_fails_over_is_planned_when_asked_for(ports: Ports, tmp_path: Path) -> None:
    """Five servers that stop last, their address for every program, and no single server beside them."""
    found = planned(ports, tmp_path, redis_sentinel=True)

    assert found.redis_server is None
    assert [program.name for _, program in found.redis_group][:2] == ["redis-1", "redis-2"]
    assert {program.drains for _, program in found.redis_group} == {Drains.REDIS}
    assert [program.command for _, program in found.redis_group] == [one.command for one, _ in found.redis_group]
    assert found.redis.startswith("redis+sentinel://127.0.0.1:")
    assert found.balancers[0].program.environment["SNAPSURGE_REDIS_URL"] == found.redis
    with pytest.raises(ValueError, match="give one of them"):
        planned(ports, tmp_path, redis_sentinel=True, redis="redis://h:6379/3")


def test_worker_limits_are_passed_on_only_when_given(ports: Ports, tmp_path: Path) -> None:
    """Otherwise the autoscaler's own settings count."""
    assert planned(ports, tmp_path).autoscaler.program.command[-1] == "autoscale"
    words = planned(ports, tmp_path, workers_min=0, workers_max=4).autoscaler.program.command
    assert words[-4:] == ("--workers-min", "0", "--workers-max", "4")


@pytest.mark.parametrize(
    "given", [{"nodes": 0}, {"nodes": 27}, {"balancers": 0}, {"port": 70000}, {"workers_min": 3, "workers_max": 2}]
)
def test_impossible_options_are_refused(ports: Ports, tmp_path: Path, given: dict[str, int]) -> None:
    """Before anything is started."""
    with pytest.raises(ValueError, match=r"Expected|below"):
        planned(ports, tmp_path, **given)


def test_shards_are_more_redis_beside_the_first_one(ports: Ports, tmp_path: Path) -> None:
    """Each with data of its own, all named to every program; one alone is the first one itself."""
    found = planned(ports, tmp_path, redis_shards=2, redis_sentinel=True)
    urls = ",".join(shard.url for shard in found.shards)

    assert [shard.program.name for shard in found.shards] == ["redis-shard-1", "redis-shard-2"]
    assert len({shard.folder for shard in found.shards}) == len({shard.url for shard in found.shards}) == 2
    assert {shard.program.drains for shard in found.shards} == {Drains.REDIS}
    for program in (found.nodes[0].program, found.autoscaler.program, found.balancers[0].program):
        assert program.environment["SNAPSURGE_SHARD_URLS"] == urls
    alone = planned(ports, tmp_path)
    assert alone.shards == ()
    assert "SNAPSURGE_SHARD_URLS" not in alone.nodes[0].program.environment
    for count in (0, 17):
        with pytest.raises(msgspec.ValidationError):
            planned(ports, tmp_path, redis_shards=count)


def test_the_autoscaler_and_its_workers_can_be_scraped(ports: Ports, tmp_path: Path) -> None:
    """The autoscaler at an address of the plan, its workers at any; the caller's own addresses stay."""
    found = planned(ports, tmp_path).autoscaler
    environment = found.program.environment

    assert found.url == f"http://{environment['SNAPSURGE_PROCESSORS_AUTOSCALER_LISTEN']}"
    assert environment["SNAPSURGE_PROCESSORS_LISTEN"] == "127.0.0.1:0"
    own = {"SNAPSURGE_PROCESSORS_AUTOSCALER_LISTEN": "127.0.0.1:7", "SNAPSURGE_PROCESSORS_LISTEN": "127.0.0.1:8"}
    again = plan(Options(port=0), ports, Surroundings(tmp_path, Path("/src"), own, SECRET)).autoscaler
    assert again.url == "http://127.0.0.1:7"
    assert again.program.environment.items() >= own.items()


@pytest.mark.skipif(shutil.which("prometheus") is None, reason="Prometheus is missing: apt-get install prometheus")
def test_a_prometheus_is_started_where_asked_for(ports: Ports, tmp_path: Path) -> None:
    """It scrapes what this stack's autoscaler tells, keeps what 28 moments need, and is stopped last."""
    assert planned(ports, tmp_path).prometheus is None
    found = planned(ports, tmp_path, prometheus=True)
    assert found.prometheus

    assert f"{found.autoscaler.url}/v1/targets" in found.prometheus.text
    assert f"--config.file={found.prometheus.file}" in found.prometheus.program.command
    assert "--storage.tsdb.retention.time=100d" in found.prometheus.program.command
    assert found.prometheus.program.drains == max(Drains)
