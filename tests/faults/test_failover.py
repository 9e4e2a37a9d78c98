"""Redis fails over under uploads: one failover in `make test`, each kind alone and at random in `make test-faults`.

A failover alone breaks no upload: every one is answered 201, or 200 when it was repeated, at its first try. What a
failover lost, which Redis cannot prevent, is back when its round is judged; the seconds that it took are printed.
`SEED=7:31` repeats a random round.
"""

import random
import time
from pathlib import Path

import pytest

from tests.faults.catalogue import Fault
from tests.faults.failovers import BESIDE, FAILOVERS, FailoverRig
from tests.faults.report import line, write
from tests.faults.rig import Kind, needs
from tests.faults.rounds import BOTH, Game, Played, asked
from tests.faults.witness import read

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

ROUNDS = 20


def say(played: Played) -> None:
    """Print the round, and within which time after its last upload all its posts were settled."""
    last_ms = max(each.ended or 0 for one in read(played.log) for each in one.tries)
    print(f"{line(played)}; settled within {time.time() - last_ms / 1000:.0f} s", flush=True)


def broken(game: Game) -> list[str]:
    """The lines of the rounds that broke a promise."""
    return [line(played) for played in game.rounds if played.verdict is None or played.verdict.findings]


def refused(game: Game) -> list[tuple[str, int]]:
    """Uploads that got an answer other than that of an accepted, a doubled or a superseded pair."""
    tries = [(one.op, each.status) for played in game.rounds for one in read(played.log) for each in one.tries]
    return [(op, status) for op, status in tries if "gone" not in op and status not in {200, 201, 409}]


def chosen_by(seed: str, store: Kind) -> tuple[Fault, ...]:
    """A failover, and up to two faults of different other parts."""
    rng = random.Random(seed)
    possible = [fault for fault in BESIDE if store in fault.stores and not fault.alone]
    others = {fault.target: fault for fault in rng.choices(possible, k=rng.randint(0, 2))}
    return (rng.choice(FAILOVERS), *others.values())


async def test_a_failover_that_loses_writes_refuses_no_upload_and_loses_no_pair(tmp_path: Path) -> None:
    """The primary is killed with what its replica lacked; uploads go on, and the sweeper brings back what is lost."""
    fault = next(one for one in FAILOVERS if "lacked" in one.name)
    async with FailoverRig("file", tmp_path / "rig") as rig:
        game = Game(rig, say)
        played = await game.play("short", (fault,))
        await game.judge(wait=True)
    assert not broken(game)
    assert not played.void
    assert not refused(game)


@pytest.mark.long
@pytest.mark.timeout(3600)
async def test_no_failover_alone_breaks_a_promise(tmp_path: Path) -> None:
    """Each kind happens, no upload is refused, and no acknowledged post is lost, half, doubled or wrongly late."""
    async with FailoverRig("file", tmp_path / "rig") as rig:
        game = Game(rig, say)
        for fault in FAILOVERS:
            for repeat in range(3):  # a fault without evidence is tried again
                played = await game.play(f"failover:{fault.name}:{repeat}", (fault,))
                if not played.void:
                    break
            await game.judge(wait=False)
        await game.judge(wait=True)
    write(game.rounds, "failover-alone")
    assert not broken(game)
    assert not refused(game)
    assert {name for played in game.rounds if not played.void for name in played.faults} == {
        fault.name for fault in FAILOVERS
    }


@pytest.mark.long
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("store", BOTH)
async def test_no_rounds_of_failovers_and_other_faults_break_a_promise(store: Kind, tmp_path: Path) -> None:
    """Even rounds run on files, odd ones on MinIO; a void round is played once more with another seed."""
    needs(store)
    seed, mine = asked(store, ROUNDS)
    print(f"\nSEED={seed}: {len(mine)} rounds on {store}")
    async with FailoverRig(store, tmp_path / "rig") as rig:
        game = Game(rig, say)
        for number in mine:
            played = await game.play(f"{seed}:{number}", chosen_by(f"{seed}:{number}", store))
            if played.void:
                await game.play(f"{seed}:{number}:again", chosen_by(f"{seed}:{number}:again", store))
            await game.judge(wait=False)
        await game.judge(wait=True)
    write(game.rounds, f"failover-random-{store}")
    assert not broken(game)
    assert sum(not played.void for played in game.rounds) >= 0.9 * len(mine)
