"""Random attacks while honest phones upload: one short round in `make test`, sixty in `make test-attack`.

`ROUNDS=60 SEED=7 make test-attack` plays 60 rounds, half of them on each store. The seed is printed; to repeat a failed
round, use the seed that its line shows, `SEED=7:31`.
"""

from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.attack.catalogue import ATTACKS
from tests.attack.report import line, write
from tests.attack.trials import SETTINGS, Trial, Trials
from tests.faults.rig import Kind, Rig, needs
from tests.faults.rounds import BOTH, asked

pytestmark = pytest.mark.e2e

ROUNDS = 60
# Three quick attacks, on a post's existence, on the parsing of heads and on rendering.
SHORT = {"a deletion is lost and sent again", "Content-Type of 15,000 semicolons", "render bombs"}


def say(trial: Trial) -> None:
    """Print the trial's line for the console and for the report of a failed test."""
    print(line(trial), flush=True)


@pytest.mark.alone
@pytest.mark.timeout(300)  # seconds on an idle machine
async def test_a_short_round_of_attacks_leaves_honest_phones_alone(tmp_path: Path) -> None:
    """During three attacks at once, honest phones are served as without them, and the checker finds nothing."""
    needs("minio")
    chosen = [replace(attack, span_s=6.0) for attack in ATTACKS if attack.name in SHORT]
    async with Rig("minio", tmp_path / "rig", settings=SETTINGS) as rig:
        trials = Trials(rig, say)
        for number in range(2):  # a void round is followed by another
            trial = await trials.play(f"short:{number}", chosen)
            if not trial.void:
                break
    assert not trial.void
    assert trial.held, line(trial)


@pytest.mark.long
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("store", BOTH)
async def test_no_rounds_of_random_attacks_harm_honest_phones(store: Kind, tmp_path: Path) -> None:
    """Even rounds run on files, odd rounds on MinIO; a void round is played once more with another seed."""
    needs(store)
    seed, mine = asked(store, ROUNDS)
    print(f"\nSEED={seed}: {len(mine)} rounds on {store}")
    async with Rig(store, tmp_path / "rig", settings=SETTINGS) as rig:
        trials = Trials(rig, say)
        for number in mine:
            trial = await trials.play(f"{seed}:{number}")
            if trial.void:
                await trials.play(f"{seed}:{number}:again")
    write(trials.trials, f"random-{store}")
    assert not [line(trial) for trial in trials.trials if not trial.void and not trial.held]
    assert sum(not trial.void for trial in trials.trials) >= 0.9 * len(mine)
