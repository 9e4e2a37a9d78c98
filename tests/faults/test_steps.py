"""The process that handles an upload is killed or stopped at every step of it, on a stack with one of each tier.

Fault proxies hold the upload at a step: after its head, in its body, before its PUT, after the PUT was committed but
before its answer, before the answer to the announcement, before the answer reaches the phone; the worker is held before
it has read the pair, and before and after its own PUT. The phone keeps retrying, and its upload must end ok.
"""

import asyncio
import contextlib
import random
import signal
from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio

from tests.faults.catalogue import POST, PUT_INTAKE, PUT_MEDIA
from tests.faults.evidence import frozen, signalled
from tests.faults.phones import Phones
from tests.faults.report import line, write
from tests.faults.rig import Rig, needs
from tests.faults.rounds import Game, Played
from tests.faults.toxics import Hold

pytestmark = [pytest.mark.long, pytest.mark.e2e, pytest.mark.timeout(300), pytest.mark.asyncio(loop_scope="module")]

HELD_S = 30.0
TRIES = 30

UPLOAD_STEPS: dict[str, tuple[str, Callable[[], Hold]]] = {
    "after the head": ("door", lambda: Hold("up", POST, past_head=0)),
    "in the body": ("door", lambda: Hold("up", POST, past_head=5000)),
    "before the PUT": ("store", lambda: Hold("up", PUT_INTAKE)),
    "in the PUT": ("store", lambda: Hold("up", PUT_INTAKE, past_head=3000)),
    "committed": ("store", lambda: Hold("down", PUT_INTAKE)),
    "before the announcement": ("redis", lambda: Hold("up", rb".*render_pair:")),
    "announced": ("redis", lambda: Hold("down", rb".*render_pair:")),
    "answered": ("door", lambda: Hold("down", POST)),
}
JOB_STEPS: dict[str, tuple[str, Callable[[], Hold]]] = {
    "before its GET": ("store", lambda: Hold("up", rb"GET /[^ ]*/intake/")),
    "has the pair": ("store", lambda: Hold("down", rb"GET /[^ ]*/intake/")),
    "before its PUT": ("store", lambda: Hold("up", PUT_MEDIA)),
    "in its PUT": ("store", lambda: Hold("up", PUT_MEDIA, past_head=2000)),
    "rendered": ("store", lambda: Hold("down", PUT_MEDIA)),
}
STEPS = UPLOAD_STEPS | JOB_STEPS


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def game(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Game]:
    """A game on a stack of one balancer, one node and one worker, on MinIO."""
    needs("minio")
    async with Rig("minio", tmp_path_factory.mktemp("steps") / "rig", single=True) as rig:
        game = Game(rig, lambda played: print(line(played), flush=True))
        yield game
    write(game.rounds, "steps")


async def killed(rig: Rig, victim: str) -> str:
    """SIGKILL the victim, and restart it if it has no supervisor; returns the evidence."""
    server = {"minio": rig.minio, "redis": rig.redis_server}.get(victim)
    if server is None:
        return await signalled(rig.pids(victim)[0], signal.SIGKILL)
    said = server.kill()
    await server.start()
    return said


async def held(game: Game, step: str, victim: str, how: str) -> Played:
    """Hold one upload at the step, kill or stop the victim, release the upload, and judge the round."""
    where, make = STEPS[step]
    name, fault = f"{victim} {how} {step}", f"{victim} {how} at a step"

    async def act(phones: Phones, played: Played) -> None:
        hold, rng = make(), random.Random(name)
        with contextlib.ExitStack() as toxics:
            for proxy in game.rig.proxies(where):
                toxics.enter_context(proxy.toxic(hold))
            async with asyncio.TaskGroup() as group:
                user = f"s{len(game.rounds)}"
                group.create_task(phones.upload(f"{user}/0", user, game.camera.pair(rng), rng), name=name)
                async with asyncio.timeout(HELD_S):
                    await hold.reached.wait()
                if how == "killed":
                    played.evidence[fault] = await killed(game.rig, victim)
                    hold.release()
                else:
                    stopped = group.create_task(frozen(game.rig.pids(victim)[0], 1.5), name="freeze")
                    await asyncio.sleep(0.3)
                    hold.release()
                    played.evidence[fault] = await stopped

    played = await game.round(name, (fault,), act, tries=TRIES)
    await game.judge(wait=True)
    return played


CASES = [
    *((step, victim, how) for step in UPLOAD_STEPS for victim in ("balancer", "node") for how in ("killed", "stopped")),
    *((step, "minio", "killed") for step in ("before the PUT", "in the PUT", "committed")),
    *((step, "redis", "killed") for step in ("before the announcement", "announced")),
    *((step, "worker", how) for step in JOB_STEPS for how in ("killed", "stopped")),
    *((step, "minio", "killed") for step in JOB_STEPS),
]


@pytest.mark.parametrize(("step", "victim", "how"), CASES, ids=lambda word: word.replace(" ", "-"))
async def test_no_death_at_any_step_breaks_a_promise(game: Game, step: str, victim: str, how: str) -> None:
    """The upload was held, the victim was hit, the phone got an ok, and the pair is stored once and rendered."""
    played = await held(game, step, victim, how)

    assert played.evidence
    assert played.verdict
    assert played.verdict.findings == ()
    assert played.verdict.ok == 1
