"""Resumable uploads under faults: one short round in `make test`, each fault alone and random rounds in `test-faults`.

Two thirds of the phones break their uploads and resume them (`resuming_phones.py`), the others are as ever. A round
counts only when uploads were parked and resumed in it. `ROUNDS=60 SEED=7`; `SEED=7:31` plays round 31 again.
"""

import asyncio
import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from deploy.config import Environment
from tests.faults.catalogue import Fault
from tests.faults.parked import FAULTS, SETTINGS, Watch, chosen_by, joins
from tests.faults.phones import Phones
from tests.faults.report import line, write
from tests.faults.resuming_phones import ResumingPhones
from tests.faults.rig import Kind, Rig, needs
from tests.faults.rounds import BOTH, Game, Played, asked, struck

pytestmark = pytest.mark.e2e

ROUNDS = 60
SHORT_SEED = "short"
WINDOW_S, SPAN_S = 2, 3.0
JOIN_SPAN_S = 9.0  # a node takes seconds to start, and users are to come before it serves and after
RESUMING, OTHERS = (16, 28), (6, 12)


def say(played: Played) -> None:
    """Print the round's line for the console and for the report of a failed test."""
    print(line(played), flush=True)


def broken(game: Game) -> list[str]:
    """The lines of the rounds that broke a promise."""
    return [line(played) for played in game.rounds if played.verdict is None or played.verdict.findings]


async def play(game: Game, seed: str, faults: Sequence[Fault] | None = None) -> Played:
    """Play one round with these faults, or with those that the seed chooses."""
    rig, rng = game.rig, random.Random(seed)
    chosen = chosen_by(rng, rig.kind) if faults is None else faults
    span_s = JOIN_SPAN_S if any(fault.run is joins for fault in chosen) else SPAN_S

    async def act(phones: Phones, played: Played) -> None:
        name, watch = f"r{len(game.rounds)}", Watch(rig)
        resuming = ResumingPhones(phones, rig.doors, played.moment)
        await watch.look()
        async with asyncio.TaskGroup() as watching:
            looks = watching.create_task(watch.run(), name="watch")
            async with asyncio.TaskGroup() as group:
                one = random.Random(rng.random())
                group.create_task(resuming.burst(name, rng.randint(*RESUMING), span_s, game.camera, one))
                two = random.Random(rng.random())
                group.create_task(phones.burst(name, rng.randint(*OTHERS), span_s, game.camera, two))
                for fault in chosen:
                    group.create_task(struck(rig, fault, random.Random(rng.random()), played), name=fault.name)
            looks.cancel()
        await watch.look()
        played.resumable = watch.counts() | resuming.seen
        if not (played.resumable["parked at once"] and played.resumable.get("resumed")):
            played.void["resuming"] = f"nothing was parked and resumed: {played.resumable}"

    return await game.round(seed, tuple(fault.name for fault in chosen), act, window_s=WINDOW_S)


@pytest.mark.timeout(300)  # seconds on an idle machine
async def test_a_short_round_of_resumed_uploads_breaks_no_promise(tmp_path: Path) -> None:
    """The node that holds parked uploads is killed; phones resume, or begin anew, and nothing is lost."""
    seed = Environment.current().get("SEED", SHORT_SEED)
    async with Rig("file", tmp_path / "rig", settings=SETTINGS) as rig:
        game = Game(rig, say)
        for number in range(3):  # a void round is followed by another
            played = await play(game, f"{seed}:{number}", FAULTS[:1])
            if not played.void:
                break
        await game.judge(wait=True)
    assert not broken(game)
    assert not played.void


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("store", BOTH)
async def test_no_single_fault_beside_parked_uploads_breaks_a_promise(store: Kind, tmp_path: Path) -> None:
    """Every fault has evidence, and uploads were parked and resumed under it."""
    needs(store)
    mine = [fault for fault in FAULTS if store in fault.stores]
    async with Rig(store, tmp_path / "rig", small_disk=True, settings=SETTINGS) as rig:
        game = Game(rig, say)
        for fault in mine:
            for repeat in range(3):
                played = await play(game, f"alone:{fault.name}:{repeat}", (fault,))
                if not played.void:
                    break
            await game.judge(wait=False)
        await game.judge(wait=True)
    write(game.rounds, f"resume-alone-{store}")
    assert not broken(game)
    proven = {name for played in game.rounds if not played.void for name in played.faults}
    assert proven == {fault.name for fault in mine}


@pytest.mark.long
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("store", BOTH)
async def test_no_rounds_of_resumed_uploads_break_a_promise(store: Kind, tmp_path: Path) -> None:
    """Even rounds run on files, odd rounds on MinIO; a void round is played once more with another seed."""
    needs(store)
    seed, mine = asked(store, ROUNDS)
    print(f"\nSEED={seed}: {len(mine)} rounds on {store}")
    async with Rig(store, tmp_path / "rig", small_disk=True, settings=SETTINGS) as rig:
        game = Game(rig, say)
        for number in mine:
            played = await play(game, f"{seed}:{number}")
            if played.void:
                await play(game, f"{seed}:{number}:again")
            await game.judge(wait=False)
        await game.judge(wait=True)
    write(game.rounds, f"resume-random-{store}")
    assert not broken(game)
    assert sum(not played.void for played in game.rounds) >= 0.9 * len(mine)
