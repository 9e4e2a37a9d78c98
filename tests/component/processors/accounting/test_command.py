"""`python -m processors account` as its own process."""

import asyncio
import json
import sys
from typing import Any

from processors.accounting.writing import Accountant
from tests.component.processors.conftest import FIRES_MS
from tests.component.processors.test_main import ROOT

SETTLED_MS = FIRES_MS + 120_000 + 60_000


async def command(world: Any, redis_url: str, *arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr."""
    settings = [f"SNAPSURGE_STORE_URL={world.store.root.as_uri()}", f"SNAPSURGE_REDIS_URL={redis_url}"]
    process = await asyncio.create_subprocess_exec(
        "env", *settings, sys.executable, "-m", "processors", "account", *arguments,
        cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def test_the_command_computes_and_compares(world: Any, redis_url: str) -> None:
    """0 when all is well, 1 when something is pending, 2 when there is no such moment; people read words."""
    post_id = await world.post("ann")
    code, out, _ = await command(world, redis_url, world.moment_id, "--json")
    pending = json.loads(out)
    assert (code, pending["account"]["pending"], pending["differs"]) == (1, 1, None)
    await world.jobs().render_pair(world.moment_id, post_id)
    await Accountant(world.store, world.redis, {"": world.redis}).step(SETTLED_MS)

    code, out, _ = await command(world, redis_url, world.moment_id, "--json")
    told = json.loads(out)
    assert (code, told["account"]["accepted"], told["differs"]) == (0, 1, [])
    code, out, _ = await command(world, redis_url, world.moment_id)
    assert (code, "1 accepted" in out, "the stored one is the same" in out) == (0, True, True)
    code, out, err = await command(world, redis_url, "eu-20260101-nosuchmo")
    assert (code, out, "there is no moment" in err) == (2, "", True)
