"""Trials: honest phones alone, then the same phones during an attack, on one stack; both phases judged as fault rounds.

The result is the goodput during the attack divided by the goodput of the control phase, measured in the same minute. A
control with low goodput, or an attack without evidence, makes the trial void.
"""

import asyncio
import random
from collections.abc import Callable, Sequence

import aiohttp
import msgspec
import psutil
from redis.exceptions import RedisError

from tests.attack.catalogue import Attack, chosen_by
from tests.attack.crowd import Crowd, Goodput
from tests.attack.stage import Stage
from tests.faults.evidence import Void
from tests.faults.phones import Camera, Phones
from tests.faults.rig import Rig
from tests.faults.rounds import Game, Played

# The same memory budget on every machine: a ninth of what the largest attack announces.
SETTINGS = {"SNAPSURGE_INGEST_IN_FLIGHT_BYTES_MAX": str(1 << 30)}
SIZES = (12_000, 40_000, 200_000, 300_000)
PHONES_S = 4.0  # honest phones a second
LEAD_S = 2.0  # the attack begins this long before the first honest phone
REST_S = 3.0  # the attack goes on this long after the last honest phone has come
TRIES = 6
WINDOW_S = 60
GOODPUT_MIN = 0.9
# Without an attack all phones must be served; on a machine that is too busy for that, a trial proves nothing.
CONTROL_MIN = 0.9


class Trial(msgspec.Struct, kw_only=True):
    """The result of a trial; the verdicts are those of its two rounds."""

    name: str
    attacks: tuple[str, ...]
    rows: tuple[int, ...]
    control: Goodput
    beside: Goodput
    rounds: tuple[Played, Played]
    evidence: dict[str, str] = {}
    void: dict[str, str] = {}
    broken: tuple[str, ...] = ()

    @property
    def ratio(self) -> float:
        """Goodput during the attack divided by the control's goodput."""
        return (self.beside.good / self.beside.phones) / max(1 / 1000, self.control.good / self.control.phones)

    @property
    def held(self) -> bool:
        """Whether every promise held and the goodput ratio reached its minimum."""
        verdicts = [each.verdict for each in self.rounds]
        judged = all(verdict is not None and not verdict.findings for verdict in verdicts)
        return judged and not self.broken and self.ratio >= GOODPUT_MIN


class Trials:
    """Plays trials on one rig; `game` judges their rounds."""

    def __init__(self, rig: Rig, say: Callable[[Trial], None] = lambda _: None) -> None:
        self.rig, self._say = rig, say
        self.game = Game(rig)
        self.game.camera = Camera(SIZES)
        self.trials: list[Trial] = []

    async def play(self, seed: str, attacks: Sequence[Attack] | None = None) -> Trial:
        """Play one trial with these attacks, or with one to three that the seed chooses; returns when it is judged."""
        chosen = chosen_by(random.Random(seed), self.rig.kind) if attacks is None else attacks
        evidence: dict[str, str] = {}
        void: dict[str, str] = {}
        broken: list[str] = []
        for attack in chosen:
            if attack.prepare:
                await attack.prepare(self.rig)
        control, first = await self._phase(seed, tuple(one for one in chosen if one.twin), chosen, False, {}, void, [])
        beside, second = await self._phase(seed, chosen, chosen, True, evidence, void, broken)
        if control.good < CONTROL_MIN * control.phones:
            void["control"] = f"without an attack: {control}"
        trial = Trial(
            name=seed,
            attacks=tuple(one.name for one in chosen),
            rows=tuple(sorted({one.row for one in chosen})),
            control=control,
            beside=beside,
            rounds=(first, second),
            evidence=evidence,
            void=void,
            broken=tuple(broken),
        )
        self.trials.append(trial)
        await self.game.judge(wait=True)
        self._say(trial)
        return trial

    async def _phase(
        self,
        seed: str,
        played: Sequence[Attack],
        chosen: Sequence[Attack],
        harmful: bool,  # noqa: FBT001 - private
        evidence: dict[str, str],
        void: dict[str, str],
        broken: list[str],
    ) -> tuple[Goodput, Played]:
        """Run one phase: attackers from `LEAD_S` before the first honest phone to `REST_S` after the last."""
        span_s = max(one.span_s for one in chosen)
        name = f"t{len(self.trials)}{'a' if harmful else 'c'}"
        found: list[Goodput] = []
        spare: list[str] = []

        async def strike(attack: Attack, stage: Stage) -> None:
            try:
                said = await attack.run(stage, random.Random(f"{seed}:{attack.name}"), harmful=harmful)
            except (Void, OSError, aiohttp.ClientError, RedisError, psutil.Error) as reason:
                void[attack.name] = f"{reason!r}"
            else:
                evidence[attack.name] = said.evidence
                broken.extend(f"{attack.name}: {each}" for each in said.broken)

        async def act(phones: Phones, judged: Played) -> None:
            crowd = Crowd(self.rig.session, self.rig.doors, self.game.camera)
            lasts_s = LEAD_S + span_s + REST_S
            stage = Stage(self.rig, name, phones, judged.moment, self.game.camera, lasts_s, mixed=len(chosen) > 1)
            async with asyncio.TaskGroup() as group:
                for attack in played:
                    group.create_task(strike(attack, stage), name=attack.name)
                await asyncio.sleep(LEAD_S)
                found.append(await crowd.visit(phones, f"{name}-honest", round(PHONES_S * span_s), span_s, seed))
            spare.extend(one.id for one in stage.spare)

        label = tuple(one.name for one in chosen)
        judged = await self.game.round(f"{seed} {name}", label, act, tries=TRIES, window_s=WINDOW_S)
        for moment in spare:
            await self.rig.retire(moment)
        return found[0], judged
