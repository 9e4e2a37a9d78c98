"""Rounds: a short moment with a burst of phones and faults at the same time; then healed, drained and judged.

The seed and the number of a round determine its uploads and faults, so `SEED=7:31` plays round 31 of seed 7 again. A
round with a fault that has no evidence is void and does not count. Posts are rendered while later rounds run: a round
is judged when all its posts have settled, or after `SETTLE_S`.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from pathlib import Path

import msgspec

from deploy.config import Environment
from storage.records import to_ms
from tests.faults import survey
from tests.faults.catalogue import FAULTS, Fault
from tests.faults.checker import Verdict, judge
from tests.faults.evidence import Void
from tests.faults.phones import Camera, Phones
from tests.faults.rig import Kind, Rig
from tests.faults.witness import Witness, read

WINDOW_S = 2
SPAN_S = 3.0  # length of the burst, whose last third is late
PAIRS = (20, 40)
SETTLE_S = 60.0  # enough for a lease after a killed worker, or a sweep after a killed Redis
LOOK_S = 0.5
MARGIN_MS = 20  # small, because all processes share the machine's clock


class Played(msgspec.Struct, kw_only=True):
    """A played round; `verdict` is None until the round is judged."""

    name: str
    store: Kind
    faults: tuple[str, ...]
    moment: str
    closes_at: int
    log: Path
    evidence: dict[str, str] = {}
    void: dict[str, str] = {}
    resumable: dict[str, int] = {}  # what nodes counted of resumable uploads, and what phones saw of them
    deadline: float = 0.0
    verdict: Verdict | None = None


class Game:
    """Plays and judges rounds on one rig."""

    def __init__(self, rig: Rig, say: Callable[[Played], None] = lambda _: None) -> None:
        self.rig, self._say = rig, say
        self.camera = Camera()
        self.rounds: list[Played] = []

    async def play(self, seed: str, faults: Sequence[Fault] | None = None) -> Played:
        """Play one round with these faults, or with one to four that the seed chooses."""
        rig, rng = self.rig, random.Random(seed)
        chosen = chosen_by(rng, rig.kind) if faults is None else faults

        async def act(phones: Phones, played: Played) -> None:
            async with asyncio.TaskGroup() as group:
                burst = phones.burst(f"r{len(self.rounds)}", rng.randint(*PAIRS), SPAN_S, self.camera, rng)
                group.create_task(burst, name="burst")
                for fault in chosen:
                    strike = struck(rig, fault, random.Random(rng.random()), played)
                    group.create_task(strike, name=fault.name)

        return await self.round(seed, tuple(fault.name for fault in chosen), act)

    async def round(
        self,
        name: str,
        faults: tuple[str, ...],
        act: Callable[[Phones, Played], Awaitable[None]],
        *,
        tries: int = 5,
        window_s: int = WINDOW_S,
    ) -> Played:
        """Wait for a healthy stack, open a moment and run `act` in it; `judge` adds the verdict."""
        rig = self.rig
        await rig.healthy()
        moment = await rig.open_moment(window_s)
        log = rig.folder / f"witness-{len(self.rounds)}.jsonl"
        played = Played(
            name=name, store=rig.kind, faults=faults, moment=moment.id, closes_at=to_ms(moment.closes_at), log=log
        )
        with Witness(log) as witness:
            await act(Phones(rig.session, rig.doors, witness, moment.id, tries=tries), played)
        played.deadline = time.monotonic() + SETTLE_S
        self.rounds.append(played)
        return played

    async def judge(self, *, wait: bool) -> None:
        """Check every round that is not judged yet; with `wait`, repeat until all are judged."""
        await self.rig.healthy()
        while pending := [played for played in self.rounds if played.verdict is None]:
            for played in pending:
                verdict = await self._look(played)
                if not verdict.findings or time.monotonic() > played.deadline:
                    played.verdict = verdict
                    self._say(played)
                    await self.rig.retire(played.moment)
            if not wait:
                return
            await asyncio.sleep(LOOK_S)

    async def _look(self, played: Played) -> Verdict:
        rig = self.rig
        door = rig.record().balancers[0].url
        stored = await survey.stored(rig.store, played.moment)
        shown = await survey.shown(rig.session, door, rig.store, played.moment)
        counts = await survey.counts(rig.session, door, played.moment)
        operations, nodes = read(played.log), {node.id: node.url for node in rig.record().nodes}
        goers = sorted({one.user for one in operations if one.what == "delete"})
        seen = await survey.seen(rig.session, nodes, rig.store, played.moment, goers)
        return judge(operations, stored, shown, counts, seen, closes_at=played.closes_at, margin=MARGIN_MS)


async def struck(rig: Rig, fault: Fault, rng: random.Random, played: Played) -> None:
    """Run the fault after a moment; its evidence, or why it is void, goes into the record of the round."""
    await asyncio.sleep(rng.uniform(0.1, 1.2))
    try:
        played.evidence[fault.name] = await fault.run(rig, rng)
    except Void as reason:
        played.void[fault.name] = str(reason)


BOTH: tuple[Kind, ...] = ("file", "minio")
TARGETS = frozenset(fault.target for fault in FAULTS)


def asked(store: Kind, rounds: int) -> tuple[str, list[int]]:
    """The seed, and the numbers of the rounds to play on this store, from SEED and ROUNDS (or by default `rounds`).

    Even rounds run on files, odd ones on MinIO. A seed with a number, like `7:31`, is one round on either.
    """
    environment = Environment.current()
    seed, _, number = environment.get("SEED", str(time.time_ns() // 1_000_000_000)).partition(":")
    if number:
        return seed, [int(number)]
    return seed, [each for each in range(int(environment.get("ROUNDS", rounds))) if each % 2 == BOTH.index(store)]


def chosen_by(rng: random.Random, store: Kind, targets: Collection[str] = TARGETS) -> tuple[Fault, ...]:
    """One to four faults of different targets."""
    possible = [fault for fault in FAULTS if store in fault.stores and fault.target in targets and not fault.alone]
    found: dict[str, Fault] = {}
    for _ in range(rng.randint(1, 4)):
        fault = rng.choice(possible)
        found.setdefault(fault.target, fault)
    return tuple(found.values())
