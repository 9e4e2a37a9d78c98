"""A real node under attackers who announce much and send little, honest phones beside them, and a control without."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from .lone_node import MIB, LoneNode, lone_node, pair

pytestmark = [pytest.mark.e2e, pytest.mark.alone]

BUDGET = 41 * MIB  # 70 honest pairs; two of what attackers announce
HONEST_A_S, SECONDS, SEND_S = 6, 15, 1.0
PAIR = pair(600_000)


async def goodput(node: LoneNode, attackers: int, *, uploads: int, rate: float) -> tuple[int, int]:
    """How many honest pairs were accepted, and the most memory that the node had, in so many seconds."""
    moment, loop = node.moment(), asyncio.get_running_loop()
    most = 0
    async with asyncio.TaskGroup() as group:
        hostile = [
            group.create_task(node.trickle(moment, f"attacker{number % attackers}", length=20 * MIB, rate=rate))
            for number in range(attackers * uploads)
        ]
        await asyncio.sleep(3)
        begun = loop.time()
        until, honest = begun + SECONDS + 10, []
        for number in range(HONEST_A_S * SECONDS):
            await asyncio.sleep(begun + number / HONEST_A_S - loop.time())
            phone = node.phone(moment, f"{moment}-{number}", PAIR, send_s=SEND_S, until=until)
            honest.append(group.create_task(phone))
            most = max(most, node.resident())
        await asyncio.wait(honest, timeout=max(0.0, until - loop.time()))
        accepted = sum(task.done() and task.result() == 201 for task in honest)
        for task in (*honest, *hostile):
            task.cancel()
    return accepted, most


@pytest.mark.parametrize(("accounts", "uploads"), [(56, 8), (150, 4)])
async def test_honest_phones_are_served_beside_attackers(
    redis_server: Callable[[], AbstractContextManager[str]],
    tmp_path: Path,
    free_port: int,
    accounts: int,
    uploads: int,
) -> None:
    """At least 90 % of the pairs that are accepted without the attackers, and memory within its budget."""
    with redis_server() as url, lone_node(tmp_path, url, free_port, in_flight_bytes_max=BUDGET) as node:
        control, _ = await goodput(node, 0, uploads=0, rate=0)
        idle = node.resident()
        attacked, most = await goodput(node, accounts, uploads=uploads, rate=4300)

    print(f"honest pairs: {attacked} of {control}; memory {(most - idle) / MIB:.0f} MiB over {idle / MIB:.0f}")  # noqa: T201
    assert control == HONEST_A_S * SECONDS
    assert attacked >= 0.9 * control
    assert most - idle <= BUDGET + 16 * MIB  # and what 600 connections take
