"""Random faults: one short round on each store in `make test`, hundreds in `make test-faults`.

`ROUNDS=200 SEED=7 make test-faults` plays 200 rounds, half of them on each store. The seed is printed; to repeat a
failed round, use the seed that its line shows, `SEED=7:31`.
"""

import random
from pathlib import Path

import pytest

from deploy.config import Environment
from tests.faults.report import line, write
from tests.faults.rig import Kind, Rig, needs
from tests.faults.rounds import BOTH, Game, Played, asked, chosen_by

pytestmark = pytest.mark.e2e

ROUNDS = 20
SHORT_SEED = "short"
QUICK_TARGETS = {"balancer", "node", "redis", "store", "door"}  # the targets that recover in a second or two


def say(played: Played) -> None:
    """Print the round's line for the console and for the report of a failed test."""
    print(line(played), flush=True)


def broken(game: Game) -> list[str]:
    """The lines of the rounds that broke a promise."""
    return [line(played) for played in game.rounds if played.verdict is None or played.verdict.findings]


@pytest.mark.timeout(300)  # seconds on an idle machine
@pytest.mark.parametrize("store", BOTH)
async def test_a_short_round_of_random_faults_breaks_no_promise(store: Kind, tmp_path: Path) -> None:
    """The faults that the seed chose happened, and the checker finds no broken promise."""
    needs(store)
    seed = Environment.current().get("SEED", SHORT_SEED)
    async with Rig(store, tmp_path / "rig") as rig:
        game = Game(rig, say)
        for number in range(3):  # a void round is followed by another
            name = f"{seed}:{number}"
            played = await game.play(name, chosen_by(random.Random(name), store, QUICK_TARGETS))
            if not played.void:
                break
        await game.judge(wait=True)
    assert not broken(game)
    assert not played.void


@pytest.mark.long
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("store", BOTH)
async def test_no_rounds_of_random_faults_break_a_promise(store: Kind, tmp_path: Path) -> None:
    """Even rounds run on files, odd rounds on MinIO; a void round is played once more with another seed."""
    needs(store)
    seed, mine = asked(store, ROUNDS)
    print(f"\nSEED={seed}: {len(mine)} rounds on {store}")
    async with Rig(store, tmp_path / "rig", small_disk=True) as rig:
        game = Game(rig, say)
        for number in mine:
            played = await game.play(f"{seed}:{number}")
            if played.void:
                await game.play(f"{seed}:{number}:again")
            await game.judge(wait=False)
        await game.judge(wait=True)
    write(game.rounds, f"random-{store}")
    assert not broken(game)
    assert sum(not played.void for played in game.rounds) >= 0.9 * len(mine)
