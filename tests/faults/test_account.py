"""The account of a moment, beside the log of the phones that posted in it: equal to the pair.

One balancer and one node that has room for two uploads, so that phones are refused, take their tickets and come back;
half of the window's phones tap twice, and the last ones are late. Nothing is broken, so that the phones know the end of
each try; a round in which one did not is played again. The other test kills the node, and has posts deleted.
"""

import asyncio
import os
import random
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from deploy.config import Environment
from processors.accounting.command import Answer, differing
from processors.accounting.sums import SETTLE_MS
from storage.accounts import Account
from storage.records import to_ms
from tests.faults import rig as rig_module
from tests.faults import survey
from tests.faults.phones import Camera, Phones, now_ms
from tests.faults.rig import ROOT, Opened, Rig, until
from tests.faults.sightings import Stored
from tests.faults.witness import Operation, Witness, read

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]

USERS = 24
WINDOW_S, SPAN_S = 3, 4.0
SETTINGS = {"SNAPSURGE_DEPLOY_START_S": "300", "SNAPSURGE_INGEST_IN_FLIGHT_REQUESTS_MAX": "2"}
ROUNDS = 3


async def posted(rig: Rig, log: Path) -> tuple[Opened, tuple[Operation, ...]]:
    """A moment in which the phones have posted, and what each of them knows."""
    rng, camera = random.Random(15), Camera(sizes=(6_000,))
    await rig.healthy()
    moment = await rig.open_moment(WINDOW_S)
    with Witness(log) as witness:
        phones = Phones(rig.session, rig.doors, witness, moment.id, tries=8)
        async with asyncio.TaskGroup() as group:
            for number in range(USERS):
                pair, delay_s = camera.pair(rng), rng.uniform(0, SPAN_S)
                for tap in range(1 + number % 2):
                    own, user = random.Random(rng.random()), f"u{number}"
                    call = phones.upload(f"{user}/{tap}", user, pair, own, delay_s=delay_s)
                    group.create_task(call, name=f"{user}/{tap}")
    return moment, read(log)


async def command(rig: Rig, moment: str) -> tuple[int, Answer]:
    """The exit code and the answer of `python -m processors account`."""
    record = rig.record()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "processors", "account", moment, "--json"),
        cwd=ROOT,
        env={**Environment.current(), "SNAPSURGE_STORE_URL": record.store, "SNAPSURGE_REDIS_URL": rig.redis_url},
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, msgspec.json.decode(out, type=Answer)


def compare(account: Account, operations: Sequence[Operation], stored: Sequence[Stored], closes_ms: int) -> None:
    """What the nodes and the store counted is what the phones know."""
    tries = [one for operation in operations for one in operation.tries]
    users = {one.user for one in operations}
    acknowledged = {one.user for one in operations if one.ending == "ok"}
    refused = {operation.user for operation in operations for one in operation.tries if one.status >= 500}
    created = [one for one in tries if one.status == 201]
    with_ticket = [one for operation in operations for number, one in enumerate(operation.tries) if one.first != number]
    late = {one.user for one in stored if one.received_at > closes_ms}
    assert refused, "the node has room for two uploads: some are refused"
    assert late
    assert {one.user for one in stored} == acknowledged
    assert (account.accepted, account.offered) == (len(acknowledged), len(users))
    assert (account.refused.pairs, account.refused.came_back) == (len(refused), len(refused & acknowledged))
    assert account.refused.not_back == len(refused - acknowledged)
    assert (account.late, account.on_time) == (len(late), len(acknowledged - late))
    assert (account.late_because_of_us, account.late_without_ticket, account.untold) == (0, 0, 0)
    assert (account.ready, account.rejected, account.pending) == (len(acknowledged), {}, 0)
    assert account.tries["created"] == len(created) == len(acknowledged)
    assert account.tries.get("replayed", 0) == sum(one.status == 200 for one in tries)
    assert account.tries["overloaded"] == sum(one.status == 503 for one in tries)
    assert account.tickets == len(with_ticket)
    assert account.retried == sum(one.status == 201 for one in with_ticket)
    assert (account.upload_ms.count, account.rendered_ms.count) == (len(acknowledged), len(acknowledged))
    assert account.upload_ms.count == account.ready_ms.count == len(acknowledged)


async def test_the_account_is_that_of_the_witness(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Offered, accepted, refused and back, retries, repeated pairs, lateness; stored, over HTTP, and by the command."""
    monkeypatch.setattr(rig_module, "WAIT_S", 300.0)  # a busy machine starts the stack slowly
    async with Rig("file", tmp_path / "rig", single=True, settings=SETTINGS) as rig:
        for number in range(ROUNDS):
            moment, operations = await posted(rig, tmp_path / f"witness-{number}.jsonl")
            tries = [one for operation in operations for one in operation.tries]
            if all(one.status for one in tries):
                break
        else:
            pytest.fail(f"in {ROUNDS} rounds a phone got no answer: the machine is too busy")
        door, closes_ms = rig.record().balancers[0].url, to_ms(moment.closes_at)

        async def settled() -> bool:
            return now_ms() > closes_ms and (await command(rig, moment.id))[1].account.pending == 0

        await until(settled, "all posts are rendered", 300)
        stored = await survey.stored(rig.store, moment.id)

        async def written() -> bool:
            status, _ = await survey._answer(rig.session, f"{door}/v1/moments/{moment.id}/account")
            assert status in {200, 404}
            return status == 200

        # A busy machine may have taken longer than that; then the account may be there.
        assert not await written() or now_ms() >= closes_ms + SETTLE_MS
        await until(written, "the account is written", SETTLE_MS / 1000 + 120)
        _, said = await survey._answer(rig.session, f"{door}/v1/moments/{moment.id}/account")
        account = msgspec.json.decode(said, type=Account)
        code, told = await command(rig, moment.id)

    compare(account, operations, stored, closes_ms)
    assert (code, told.differs, differing(told.account, account)) == (0, [], [])


async def broken(rig: Rig, log: Path) -> tuple[Opened, tuple[Operation, ...]]:
    """A moment in the middle of which the node is killed; every third user deletes the post again."""
    rng, camera = random.Random(16), Camera(sizes=(6_000,))
    await rig.healthy()
    moment = await rig.open_moment(WINDOW_S)
    with Witness(log) as witness:
        phones = Phones(rig.session, rig.doors, witness, moment.id, tries=12)

        async def visit(number: int, delay_s: float) -> None:
            own, user = random.Random(number), f"u{number}"
            await phones.upload(f"{user}/0", user, camera.pair(own), own, delay_s=delay_s)
            if number % 3 == 0:
                await phones.erase(f"{user}/gone", user, own)

        async with asyncio.TaskGroup() as group:
            for number in range(USERS):
                group.create_task(visit(number, rng.uniform(0, SPAN_S)), name=f"u{number}")
            await asyncio.sleep(SPAN_S / 2)
            os.kill(rig.pids("node")[0], signal.SIGKILL)
    return moment, read(log)


async def test_the_account_of_a_moment_with_a_kill_and_deletions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Posts are exact; of refused pairs it has those that a node refused, and none of them is a deleted post."""
    monkeypatch.setattr(rig_module, "WAIT_S", 300.0)  # a busy machine starts the stack slowly
    async with Rig("file", tmp_path / "rig", single=True, settings=SETTINGS) as rig:
        moment, operations = await broken(rig, tmp_path / "witness.jsonl")
        closes_ms = to_ms(moment.closes_at)

        async def rendered() -> bool:
            return now_ms() > closes_ms and (await command(rig, moment.id))[1].account.pending == 0

        await until(rendered, "all posts are rendered", 300)
        account = (await command(rig, moment.id))[1].account
        stored = await survey.stored(rig.store, moment.id)
        objects = [one.key async for one in rig.store.list("") if f"/intake/{moment.id}/" in one.key]

    there = {one.user for one in stored}
    late = {one.user for one in stored if one.received_at > closes_ms}
    tried = [one for one in operations if one.what == "post"]
    refused = {one.user for one in tried if any(attempt.status >= 500 for attempt in one.tries)}
    assert len(objects) > len(stored) > 0, "some posts are deleted, some are not"
    assert (account.accepted, account.deleted) == (len(stored), len(objects) - len(stored))
    assert (account.late, account.on_time, account.late_because_of_us) == (len(late), len(there - late), 0)
    assert (account.ready, account.pending, account.rejected) == (len(stored), 0, {})
    found = account.refused
    assert 0 < found.pairs <= len(refused)
    assert found.pairs == found.came_back + found.deleted + found.not_back
    assert (found.came_back <= len(refused & there), found.deleted <= account.deleted) == (True, True)
    assert found.not_back <= len({one.user for one in tried if one.ending != "ok"})
    assert account.offered == account.accepted + found.not_back
    assert account.tries["created"] + account.untold >= len(stored)
