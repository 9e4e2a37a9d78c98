"""One pair's way through a real stack: shed, back with its ticket, rendered at the second try; by `deploy trail`."""

import asyncio
import json
import os
import random
import signal
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from deploy.config import Environment
from deploy.tokens import token
from storage import keys
from storage.keys import LEASES_KEY
from tests.faults import rig as rig_module
from tests.faults.phones import BOUNDARY, SECRET, TICKET, Camera
from tests.faults.rig import ROOT, Rig, until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]

SETTINGS = {"SNAPSURGE_DEPLOY_START_S": "300", "SNAPSURGE_INGEST_IN_FLIGHT_REQUESTS_MAX": "1"}


class Phone:
    """A user, the fields of its requests, and the ids that its tries got."""

    def __init__(self, user: str, length: int) -> None:
        self.user, self.ids = user, list[str]()
        bearer = token(SECRET, user, "upload", now=time.time(), ttl_s=600)
        kind = f"multipart/form-data; boundary={BOUNDARY}"
        self.fields = {"Authorization": f"Bearer {bearer}", "Content-Type": kind, "Content-Length": str(length)}


async def trailed(rig: Rig, asked: str) -> dict[str, Any]:
    """What `python -m deploy trail` prints."""
    command = (sys.executable, "-m", "deploy", "trail", asked, "--json", "--state", str(rig.state))
    environment = {**Environment.current(), "SNAPSURGE_AUTH_SECRET": SECRET}
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, env=environment, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    assert process.returncode == 0, out
    return dict(json.loads(out))


async def ready(rig: Rig, post_id: str) -> bool:
    """Whether the history says that the pair is rendered."""
    history = (await trailed(rig, post_id))["history"]
    return isinstance(history, dict) and history["state"] == "ready"


def check(found: dict[str, Any], ids: list[str]) -> None:
    """All tries of these requests, and every step."""
    outcomes = [one["outcome"] for one in found["tries"]]
    assert outcomes == ["overloaded"] * (len(ids) - 1) + ["created"]
    assert [one["request"] for one in found["tries"]] == ids
    history = found["history"]
    assert (history["retry"], history["run"], history["failures"]["lapses"]) == (True, 2, 1)
    assert [step["name"] for step in history["steps"]] == [
        *("retry", "receive", "commit", "enqueue", "queue", "slot", "render", "store")
    ]
    assert {"lb-1.access.log", "node-a.log"} <= {line["file"] for line in found["lines"]}


async def test_a_pair_that_was_shed_came_back_and_was_rendered_at_the_second_try(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The trail of either request id has both tries, the history all steps, and no line a user id or a token."""
    monkeypatch.setattr(rig_module, "WAIT_S", 300.0)  # a busy machine starts the stack slowly
    async with Rig("file", tmp_path / "rig", single=True, settings=SETTINGS) as rig:
        await rig.healthy()
        moment = await rig.open_moment(120)
        url = f"{rig.record().balancers[0].url}/v1/moments/{moment.id}/posts"
        body = Camera(width=2400).pair(random.Random(1)).body

        async def tried(phone: Phone) -> int:
            async with rig.session.post(url, data=body, headers=phone.fields) as answer:
                phone.ids.append(answer.headers["X-Request-Id"])
                phone.fields |= {TICKET: answer.headers[TICKET]} if TICKET in answer.headers else {}
                return int(answer.status)

        shed: list[Phone] = []

        async def full() -> bool:
            phones = [Phone(f"user-of-this-test-{time.time_ns()}-{number}", len(body)) for number in range(8)]
            statuses = await asyncio.gather(*(tried(phone) for phone in phones))
            shed.extend(phone for phone, status in zip(phones, statuses, strict=True) if status == 503)
            return bool(shed)

        await until(full, "the node is full", 120)
        mine, ids = shed[0], shed[0].ids
        post_id = keys.post_id(moment.id, mine.user)

        async def accepted() -> bool:
            return await tried(mine) == 201

        await until(accepted, "the pair is accepted", 120)

        async def claimed() -> bool:
            return bool(await rig.redis.hexists(LEASES_KEY, f"render_pair:{post_id}"))

        await until(claimed, "a worker has claimed the render")
        for pid in rig.pids("worker"):
            os.kill(pid, signal.SIGKILL)
        await until(partial(ready, rig, post_id), "another run has rendered the pair", 300)
        trails = [await trailed(rig, asked) for asked in (ids[0], ids[-1], post_id)]
        logs = b"".join(path.read_bytes() for path in sorted((rig.state / "logs").iterdir()))

    for found in trails:
        check(found, ids)
    assert b"user-of-this-test" not in logs
    assert mine.fields["Authorization"].removeprefix("Bearer ").encode() not in logs
