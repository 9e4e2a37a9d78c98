"""Each attack of the catalogue alone, on a stack of its own: `make test-attack`.

Attacks run on MinIO, as in production. Attacks on a post's existence run on files too, because the file store decides
concurrent changes in another way.

`ONLY="bombs|one request id" make test-attack` plays the attacks whose name contains one of these words.
"""

from pathlib import Path

import pytest

from deploy.config import Environment
from tests.attack.catalogue import ATTACKS, BOTH, Attack
from tests.attack.report import line, write
from tests.attack.trials import SETTINGS, Trials
from tests.faults.rig import Kind, Rig, needs

pytestmark = [pytest.mark.long, pytest.mark.e2e, pytest.mark.timeout(900)]

ONLY = Environment.current().get("ONLY", "").split("|")
CHOSEN = [attack for attack in ATTACKS if any(words in attack.name for words in ONLY)]
CASES = [
    (attack, store)
    for attack in CHOSEN
    for store in BOTH
    if store in attack.stores and (store == "minio" or attack.target == "existence")
]


@pytest.mark.parametrize(("attack", "store"), CASES, ids=[f"{attack.name}-{store}" for attack, store in CASES])
async def test_honest_phones_hardly_notice_an_attack(attack: Attack, store: Kind, tmp_path: Path) -> None:
    """The attack has evidence; goodput stays at 90 % of the control's; no post is lost, revived, doubled or late."""
    needs(store)
    async with Rig(store, tmp_path / "rig", settings=SETTINGS) as rig:
        trials = Trials(rig, lambda trial: print(line(trial), flush=True))
        for repeat in range(3):  # an attack without evidence is tried again
            trial = await trials.play(f"row:{attack.name}:{repeat}", (attack,))
            if not trial.void:
                break
    write([trial], f"row-{store}")
    assert not trial.void
    assert trial.held, line(trial)
