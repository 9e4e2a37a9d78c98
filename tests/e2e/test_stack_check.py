"""`python -m deploy check` on a real stack: go when all is well, and no-go for each cause that is really caused.

Each test causes what it names, checks, and undoes it. The time that a check may take is long here, because the machine
of tests is busy; that it ends within its time has a test of its own.
"""

import asyncio
import json
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from deploy.config import DEVELOPMENT_SECRET, Environment
from deploy.tokens import token
from tests.careless_store import careless_store
from tests.certificates import made_certificate
from tests.e2e.checked_stack import BUSY, ROOT, SECRET, Checked, beside, checked_stack, doors, places, stopped, until
from tests.ports import free_port

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checked]:
    """One for all tests of this file."""
    with checked_stack(tmp_path_factory.mktemp("check")) as made:
        yield made


def objects(stack: Checked) -> set[Path]:
    """Every object of its store, and every folder of one; not the empty files by which writers lock each other out."""
    root = stack.state / "store"
    return {path for path in root.rglob("*") if ".incoming" not in path.parts}


def test_a_stack_that_is_ready_is_go_and_nothing_is_changed(stack: Checked) -> None:
    """Exit 0, every check is as wanted; no object is left in the store."""
    before = objects(stack)

    def go() -> bool:
        code, found = stack.check()
        assert not {name for name, one in found.items() if one["ok"] is False} - BUSY, found
        return code == 0

    until(go)
    assert objects(stack) == before


def test_by_urls_the_nodes_are_found_and_the_rest_is_named(stack: Checked) -> None:
    """The same of admin addresses; the rehearsal is named, and the moment too."""
    moment = open_moment(stack, "2099-01-01T00:00:00Z")
    words = ("--url", *doors(stack), "--rehearsal", str(stack.state / "rehearsal.json"), "--moment", moment)

    _, found = stack.check(*words, **places(stack))

    assert [name for name, one in found.items() if one["ok"] is False and name not in BUSY] == []
    assert "2 ready" in found["nodes"]["found"]
    assert "fires in" in found["moment"]["found"]
    assert "disk" not in found


def open_moment(stack: Checked, fires_at: str) -> str:
    """A moment that fires then."""
    ops = token(SECRET, "ops", "ops", now=time.time(), ttl_s=600)
    fields = {"Authorization": f"Bearer {ops}", "Content-Type": "application/json"}
    body = json.dumps({"region": "eu", "fires_at": fires_at}).encode()
    with urlopen(Request(f"{stack.record()['nodes'][0]['url']}/v1/moments", body, fields), timeout=60) as answer:
        return str(json.load(answer)["id"])


def test_a_clock_that_is_off(stack: Checked) -> None:
    """Half a second, which no readiness check minds."""
    clock = stack.clocks / "a"
    with clock.open("r+b") as file:
        file.write(struct.pack("d", 0.5))
    try:
        _, found = stack.check()
    finally:
        with clock.open("r+b") as file:
            file.write(struct.pack("d", 0.0))
    assert found["clocks"]["ok"] is False, found["clocks"]
    assert found["clocks"]["found"].startswith("a is ")
    assert found["nodes"]["ok"]


def test_a_node_that_hangs_and_the_end_in_time(stack: Checked) -> None:
    """It does not answer; the check ends all the same, and says so of this node only."""
    pid = stack.record()["nodes"][1]["pid"]

    def states() -> set[str]:
        with urlopen(f"{doors(stack)[0]}/nodes", timeout=60) as answer:
            return {one["state"] for one in json.load(answer)}

    with stopped(pid):
        until(lambda: states() != {"healthy"})  # after some time without a heartbeat it is no member any more
        code, found = stack.check("--timeout", "30")
    assert code == 1
    assert found["nodes"]["found"] == "b: no answer in time"
    assert found["balancers"]["ok"]
    until(lambda: stack.check()[1]["nodes-healthy"]["ok"])


def test_a_node_that_an_operator_drained_at_one_balancer(stack: Checked) -> None:
    """And forgot."""
    door = doors(stack)[1]
    urlopen(Request(f"{door}/nodes/a/drain", b""), timeout=60).close()
    try:
        stack.no_go(because={"nodes-healthy": "lb-2 sees node a as draining"})
    finally:
        urlopen(Request(f"{door}/nodes/a/undrain", b""), timeout=60).close()


def test_no_worker_and_a_queue_that_is_not_empty(stack: Checked) -> None:
    """A worker that hangs has no pulse, and its jobs wait."""
    redis = stack.redis
    with stopped(stack.record()["workers"][0]["pid"]):
        redis.zadd("arq:queue", {"render_pair:aaaaaaaaaaaaaaaaaaaaaaaaaa-eu-20260101-x": 1})
        until(lambda: not redis.keys("snapsurge:worker:*"))
        _, found = stack.check()
        redis.zrem("arq:queue", "render_pair:aaaaaaaaaaaaaaaaaaaaaaaaaa-eu-20260101-x")
    assert (found["workers"]["ok"], found["queue"]["ok"]) == (False, False), found
    assert found["queue"]["found"].startswith("1 jobs wait")
    until(lambda: redis.keys("snapsurge:worker:*"))


def test_a_dead_letter(stack: Checked) -> None:
    """As a worker leaves one."""
    stack.redis.hset("snapsurge:dead", "render_pair:x", "{}")
    try:
        stack.no_go(because={"dead-letters": "1 jobs were given up"})
    finally:
        stack.redis.hdel("snapsurge:dead", "render_pair:x")


def test_a_redis_that_evicts_and_is_full(stack: Checked) -> None:
    """By its own settings."""
    redis = stack.redis
    redis.config_set("maxmemory-policy", "allkeys-lru")
    redis.config_set("maxmemory", int(redis.info("memory")["used_memory"] * 1.5))
    try:
        stack.no_go(because={"redis-eviction": "allkeys-lru", "redis-memory": "% of "})
    finally:
        redis.config_set("maxmemory", 0)
        redis.config_set("maxmemory-policy", "noeviction")


async def test_a_balancer_of_another_make(stack: Checked, tmp_path: Path) -> None:
    """Another ring seed, ticket secret and limit, a certificate near its end, few descriptors: one line for each."""
    cert, key = made_certificate(tmp_path, days=5)
    port, admin = free_port(), free_port()
    name = f"balancer 127.0.0.1:{admin}"
    command = ("lb", "--listen", f"127.0.0.1:{port}", "--admin", f"127.0.0.1:{admin}", "--tls-cert", cert)
    other = {
        "SNAPSURGE_LB_RING_SEED": "short",
        "SNAPSURGE_LB_TICKET_SECRET": "a-ticket-secret-of-its-own",
        "SNAPSURGE_LB_IDLE_S": "60",
    }
    reads = ("--hash-reads-on", "path:/v1/posts/*")
    async with beside(stack, "listening on", *command, "--tls-key", key, *reads, files=512, **other):
        words = (
            "--url",
            *doors(stack),
            f"http://127.0.0.1:{admin}",
            "--rehearsal",
            str(stack.state / "rehearsal.json"),
        )
        await asyncio.to_thread(
            stack.no_go,
            *words,
            because={
                "homes": f"{name} differ",
                "ring-seed": f"{name} differ",
                "ticket-secret": name,
                "settings": f"SNAPSURGE_LB_IDLE_S: {name} have '60'",
                "secrets": f"{name}: SNAPSURGE_LB_RING_SEED",
                "certificates": f"{name}: 5.0 days left",
                "file-descriptors": f"{name}: 512",
            },
            **places(stack),
        )


async def test_a_node_with_development_secrets(stack: Checked) -> None:
    """Which others do not accept, and everybody knows."""
    command = ("ingest", "--listen", f"127.0.0.1:{free_port()}", "--id", "other")
    secrets = {"SNAPSURGE_AUTH_SECRET": DEVELOPMENT_SECRET}
    async with beside(stack, "serving on", *command, **secrets):
        await asyncio.to_thread(
            until, lambda: "other" in json.dumps(stack.check("--url", *doors(stack), **places(stack))[1]["nodes"])
        )
        _, found = await asyncio.to_thread(lambda: stack.check("--url", *doors(stack), **places(stack)))
    await asyncio.to_thread(until, lambda: stack.check("--url", *doors(stack), **places(stack))[1]["members"]["ok"])
    assert found["secrets"]["found"] == "other: SNAPSURGE_AUTH_SECRET"
    assert "a does not accept what other signs" in found["auth-secret"]["found"]
    assert found["link-secret"]["ok"] is False  # it has none


async def test_a_store_that_overwrites(stack: Checked) -> None:
    """Conditional PUTs that all win."""
    keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "s"}
    async with careless_store() as address:
        settings = {**places(stack), **keys, "SNAPSURGE_STORE_URL": address}
        _, found = await asyncio.to_thread(lambda: stack.check("--url", *doors(stack), **settings))
    assert found["store-conditional-writes"]["ok"] is False
    assert "8 of 8 concurrent PUTs with If-None-Match: * succeeded" in found["store-conditional-writes"]["found"]


def test_too_little_space_no_rehearsal_and_no_moment(stack: Checked, tmp_path: Path) -> None:
    """A plan of more than the disk has, a rehearsal that failed, a moment that nobody made."""
    plan, failed = tmp_path / "plan.json", tmp_path / "failed.json"
    plan.write_text(json.dumps({"tiers": {"store": {"gb_day": 1e9}}}))
    failed.write_text(json.dumps({"trials": [{"fault": "node killed", "result": "failed"}]}))
    words = ("--plan", str(plan), "--rehearsal", str(failed), "--moment", "eu-20260101-never")

    stack.no_go(
        *words,
        because={"store-space": "free", "rehearsal": "node killed: failed", "moment": "none with this id"},
    )
    without = ("--without", "store-space", "rehearsal", "moment")
    assert not {"store-space", "rehearsal", "moment"} & stack.check(*words, *without)[1].keys()


def test_a_redis_that_is_away_cannot_be_told(stack: Checked) -> None:
    """No-go by its own line; queue, workers and fleet are not guessed."""
    settings = {**places(stack), "SNAPSURGE_REDIS_URL": f"redis://127.0.0.1:{free_port()}/0"}
    code, found = stack.check("--url", *doors(stack), **settings)

    assert code == 1
    assert found["redis-role"]["ok"] is False
    assert [found[name]["ok"] for name in ("queue", "dead-letters", "workers", "fleet")] == [None] * 4


def test_a_name_that_is_looked_up_for_ever_does_not_keep_it(tmp_path: Path) -> None:
    """A resolver that does not answer: asyncio would wait for its thread."""
    (tmp_path / "sitecustomize.py").write_text(
        "import socket, time\ndef getaddrinfo(*_, **__):\n    time.sleep(3600)\nsocket.getaddrinfo = getaddrinfo\n"
    )
    command = [sys.executable, "-m", "deploy", "check", "--timeout", "10", "--url", "http://balancers.example:8090"]
    environment = {**Environment.current(), "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=300)

    assert (done.returncode, done.stdout) == (2, "")
    assert "could not be looked up in time" in done.stderr


def test_without_a_stack_nothing_is_told(tmp_path: Path) -> None:
    """Exit 2 and one line."""
    command = [sys.executable, "-m", "deploy", "check", "--stack", str(tmp_path / "stack.json")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
