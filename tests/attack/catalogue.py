"""Every attack of the suite by name: its row in the issue's table, its target, the stores where it applies.

Two attacks on the same target never run at once. Each is bounded in number and time, and costs its own process little
CPU: harm must come from the cost of a request to the stack, not from load on this machine's two cores.
"""

import random
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Protocol

import msgspec

from tests.attack import bombs, existence, heads, lonely, readers, slow, storms
from tests.attack.stage import Outcome, Stage
from tests.faults.rig import Kind, Rig

BOTH: tuple[Kind, ...] = ("file", "minio")
S3: tuple[Kind, ...] = ("minio",)


class Run(Protocol):
    """An attack's coroutine; with `harmful` false it does what the control does instead."""

    async def __call__(self, stage: Stage, rng: random.Random, *, harmful: bool) -> Outcome:
        """Run the attack on this stage; returns its evidence and the claims that did not hold."""


class Attack(msgspec.Struct, frozen=True):
    """One attack. `row` of the issue's table, 0 when it is not in the table. `twin`: the control runs it harmlessly.

    `alone`: too long or too disruptive for a round of several attacks. `span_s`: how long honest phones arrive.
    `prepare`: makes what the attack and its control both need; it does no harm.
    """

    name: str
    row: int
    target: str
    run: Run
    stores: tuple[Kind, ...] = BOTH
    twin: bool = False
    alone: bool = False
    span_s: float = 10.0
    prepare: Callable[[Rig], Awaitable[None]] | None = None


ATTACKS = (
    Attack("a deletion is lost and sent again", 1, "existence", existence.deletion_lost, S3),
    Attack("store requests come twice", 1, "existence", existence.requests_repeated, S3),
    Attack("a node stands still in a deletion", 1, "existence", existence.node_stopped_deleting),
    Attack("render bombs", 2, "render", bombs.render_bombs, twin=True),
    Attack("slow uploads that announce 20 MiB, 56 accounts", 3, "uploads", slow.slow_uploads, twin=True),
    Attack(
        "slow uploads that announce 20 MiB, 500 accounts",
        3,
        "uploads",
        partial(slow.slow_uploads, accounts=500, uploads=500),
        twin=True,
    ),
    Attack("one request id for two pairs", 4, "existence", existence.same_request_id),
    Attack("a planned failover that keeps sessions", 5, "redis", lonely.redis_demoted, alone=True, span_s=25.0),
    Attack("a node alone without the store", 6, "node", lonely.node_without_store, S3, span_s=12.0),
    Attack("a node's clock 20 min ahead", 6, "node", lonely.wrong_clock),
    Attack("a node's clock 20 min behind", 6, "node", partial(lonely.wrong_clock, offset_s=-lonely.CLOCK_S)),
    Attack("600 connections that do not read a rendition", 7, "reads", readers.unread_renditions),
    Attack("Content-Type of 15,000 semicolons", 8, "heads", heads.content_type, twin=True),
    Attack(
        "GETs of unknown posts, 1,200 moments",
        9,
        "reads",
        readers.unknown_posts,
        twin=True,
        alone=True,
        span_s=20.0,
        prepare=readers.old_moments,
    ),
    Attack(
        "GETs of unknown posts",
        9,
        "reads",
        partial(readers.unknown_posts, getters=80),
        twin=True,
        prepare=partial(readers.old_moments, count=200),
    ),
    Attack("deletions while Redis refuses writes", 10, "existence", existence.redis_refuses),
    Attack("large legal pairs, sent slowly by 200 accounts", 0, "uploads", storms.slow_large_pairs, twin=True),
    Attack("ranges by the dozen", 0, "reads", storms.ranges, twin=True),
    Attack("heads that never end", 0, "heads", storms.slow_heads),
    Attack("idle connections", 0, "heads", storms.idle),
    Attack("tokens of 15 KB, each another", 0, "heads", storms.fat_tokens, twin=True),
    Attack("lists of posts by ops", 0, "reads", storms.lists, twin=True),
    Attack("posts and deletions by 100 users", 0, "existence", storms.cycles, twin=True),
)


def chosen_by(rng: random.Random, store: Kind) -> tuple[Attack, ...]:
    """One to three random attacks on different targets."""
    possible = [one for one in ATTACKS if store in one.stores and not one.alone]
    found: dict[str, Attack] = {}
    for _ in range(rng.randint(1, 3)):
        attack = rng.choice(possible)
        found.setdefault(attack.target, attack)
    return tuple(found.values())
