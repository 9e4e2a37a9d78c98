"""Faults of the network between three hosts at random: one short round in `make test`, 60 in `make test-net`.

`ROUNDS=60 SEED=7 make test-net`; `SEED=7:31` plays round 31 of seed 7 again.
"""

import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from deploy.config import Environment
from tests.faults.catalogue import Fault
from tests.faults.report import line, write
from tests.faults.rounds import Game, Played
from tests.net.network import Network
from tests.net.rig import NetRig
from tests.net.strikes import faults

pytestmark = pytest.mark.e2e

ROUNDS = 60
SHORT_SEED = "short"


def say(played: Played) -> None:
    """Print the round's line for the console and for the report of a failed test."""
    print(line(played), flush=True)


def broken(game: Game) -> list[str]:
    """The lines of the rounds that broke a promise."""
    return [line(played) for played in game.rounds if played.verdict is None or played.verdict.findings]


def chosen(rng: random.Random, possible: Sequence[Fault]) -> tuple[Fault, ...]:
    """One or two faults of different targets."""
    found: dict[str, Fault] = {}
    for _ in range(rng.randint(1, 2)):
        fault = rng.choice(possible)
        found.setdefault(fault.target, fault)
    return tuple(found.values())


@pytest.mark.timeout(400)  # seconds on an idle machine
async def test_a_short_round_on_three_hosts_breaks_no_promise(network: Network, tmp_path: Path) -> None:
    """The host of the Redis primary is alone while phones post through all three balancers."""
    async with NetRig(network, tmp_path / "rig") as rig:
        game = Game(rig, say)
        fault = next(fault for fault in faults(network) if fault.name == "the primary's host alone")
        await game.play(f"{SHORT_SEED}:0", [fault])
        await game.judge(wait=True)
    assert not broken(game)
    assert not game.rounds[0].void


@pytest.mark.long
@pytest.mark.timeout(7200)
async def test_no_rounds_on_three_hosts_break_a_promise(network: Network, tmp_path: Path) -> None:
    """Every fault of the network, alone or with one of a process; a void round is played once more."""
    seed, _, number = Environment.current().get("SEED", SHORT_SEED).partition(":")
    mine = [int(number)] if number else list(range(int(Environment.current().get("ROUNDS", ROUNDS))))
    print(f"\nSEED={seed}: {len(mine)} rounds on three hosts")
    possible = faults(network)
    async with NetRig(network, tmp_path / "rig") as rig:
        game = Game(rig, say)
        for each in mine:
            name = f"{seed}:{each}"
            played = await game.play(name, chosen(random.Random(name), possible))
            if played.void:
                await game.play(f"{name}:again", chosen(random.Random(f"{name}:again"), possible))
            await game.judge(wait=False)
        await game.judge(wait=True)
    write(game.rounds, "net")
    assert not broken(game)
    assert sum(not played.void for played in game.rounds) >= 0.9 * len(mine)
