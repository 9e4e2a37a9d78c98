"""Plays each fault of the catalogue alone, on each store that it applies to: `make test-faults`."""

from pathlib import Path

import pytest

from tests.faults.catalogue import FAULTS
from tests.faults.report import line, write
from tests.faults.rig import Kind, Rig, needs
from tests.faults.rounds import Game

pytestmark = [pytest.mark.long, pytest.mark.e2e, pytest.mark.timeout(1800)]


@pytest.mark.parametrize("store", ["file", "minio"])
async def test_no_single_fault_breaks_a_promise(store: Kind, tmp_path: Path) -> None:
    """Every fault has evidence, and no acknowledged post is lost, half, doubled, phantom or wrongly late."""
    needs(store)
    async with Rig(store, tmp_path / "rig", small_disk=True) as rig:
        game = Game(rig, lambda played: print(line(played), flush=True))
        for fault in FAULTS:
            if store not in fault.stores:
                continue
            for repeat in range(3):  # a fault without evidence is tried again
                played = await game.play(f"alone:{fault.name}:{repeat}", (fault,))
                if not played.void:
                    break
            await game.judge(wait=False)
        await game.judge(wait=True)
    write(game.rounds, f"alone-{store}")
    assert not [played for played in game.rounds if played.verdict and played.verdict.findings]
    proven = {name for played in game.rounds if not played.void for name in played.faults}
    assert proven == {fault.name for fault in FAULTS if store in fault.stores}
