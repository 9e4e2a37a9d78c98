"""All programs under a Redis user with exactly the documented rights; and each of them without one of these."""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from deploy.config import Environment
from storage.keys import KEY_PATTERNS
from storage.rights import rule
from tests.e2e.lone_node import lone_node, pair, token
from tests.e2e.test_processors_harness import QUICK, ROOT, Stack, running, until
from tests.ports import free_port

pytestmark = pytest.mark.e2e


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Stack]:
    """A store, and a Redis whose user of our programs is `app`."""
    async with running(tmp_path) as made:
        made.extra = {
            "SNAPSURGE_REDIS_URL": f"redis://app:p%40ss@127.0.0.1:{made.port}/0",
            "SNAPSURGE_STORAGE_REDIS_TIMEOUT_S": "10",  # a busy machine: this is not about time
        }
        yield made


async def may(stack: Stack, *rules: str) -> None:
    """Give the user these rights and no others."""
    await stack.redis.execute_command("ACL", "SETUSER", "app", "reset", "on", ">p@ss", *rules)


async def denied(stack: Stack) -> list[str]:
    """What Redis did not let somebody do."""
    return [f"{one['reason']} {one['object']}" for one in await stack.redis.acl_log()]


async def test_the_documented_rights_are_enough(stack: Stack) -> None:
    """Uploads, renders, a summary, a deletion, and what a sweep restores after Redis was emptied."""
    await may(stack, *rule().split())
    with lone_node(stack.folder, stack.extra["SNAPSURGE_REDIS_URL"], free_port()) as node:
        moment, posts = node.moment(), 3
        scaler = stack.start("autoscale", **QUICK, sweep_every_s=2)
        until_s = 1e9
        for number in range(posts):
            assert await node.phone(moment, f"user {number}", pair(60_000), send_s=0.1, until=until_s) == 201

        async def ready() -> bool:
            said = node.get(f"/v1/moments/{moment}/summary", token("ops", "ops"))
            return b'"ready":3' in said.replace(b" ", b"")

        await until(ready, stack.log)
        await stack.redis.flushall()
        assert await node.phone(moment, "another", pair(60_000), send_s=0.1, until=until_s) == 201

        async def restored() -> bool:
            said = node.get(f"/v1/moments/{moment}/summary", token("ops", "ops"))
            known = [one async for one in stack.redis.scan_iter("snapsurge:post:*")]
            return b'"ready":4' in said.replace(b" ", b"") and len(known) == posts + 1

        await until(restored, stack.log)
        assert not await denied(stack)
        assert scaler.poll() is None
    for words in (["sweep", "--json"], ["dead", "list"]):
        assert stack.start(*words).wait() == 0, stack.log()
    assert not await denied(stack)


@pytest.mark.parametrize("program", [["ingest"], ["processors"], ["processors", "autoscale"], ["processors", "sweep"]])
async def test_a_program_whose_user_lacks_a_right_does_not_start(stack: Stack, program: list[str]) -> None:
    """One line names the Redis, the command and the rule, and has no password."""
    await may(stack, "~*", "+@all", "-@dangerous")
    clean = {name: text for name, text in Environment.current().items() if not name.startswith("SNAPSURGE_")}
    secret = {"SNAPSURGE_AUTH_SECRET": "x" * 32, "SNAPSURGE_STORE_URL": f"file://{stack.folder}/store"}
    command = [sys.executable, "-m", *program]
    process = await asyncio.create_subprocess_exec(
        *command, env=clean | secret | stack.extra, cwd=ROOT, stderr=asyncio.subprocess.PIPE
    )
    _, said = await process.communicate()
    assert process.returncode == 2
    (line,) = said.decode().splitlines()
    assert f"Redis 127.0.0.1:{stack.port}/0: its user may not run INFO: add to its ACL rule:" in line
    assert "+info" in line
    assert "p@ss" not in line


def test_the_readme_has_these_rights() -> None:
    """An administrator copies them from there."""
    for readme in ("storage/README.md", "deploy/README.md"):
        text = " ".join((ROOT / readme).read_text(encoding="utf-8").split())
        assert f"`{rule()}`" in text or rule() in text, f"{readme} must have: {rule()}"
        assert all(f"~{key}" in text for key in KEY_PATTERNS)
