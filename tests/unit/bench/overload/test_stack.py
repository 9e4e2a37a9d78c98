"""What the overload bench reads of its stack while it runs."""

import asyncio
import os

from bench.overload.rows import BUDGET_MIB, Phase
from bench.overload.stack import ENVIRONMENT, Stack
from bench.peers.deployed import Balancer, Node, Process, Record
from ingest import config


async def test_memory_and_cpu_are_sampled_until_cancelled() -> None:
    """Of the processes that the record names; here it is this one."""
    url, own = "http://127.0.0.1:1", os.getpid()
    record = Record(
        balancers=(Balancer(url, url, own),), nodes=(Node("a", url, own),), supervisor=Process(own), redis="", store=""
    )
    phase = Phase(times=1, slow=False, capacity=1.0, seconds=1.0, after_s=0.0, began=0.0, shed=[1.0])
    stack = Stack(record)
    async with asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(stack.watch(phase))
        await asyncio.sleep(0)
        watching.cancel()

    assert stack.url == "http://127.0.0.1:1"
    assert phase.samples[0].node_s > 0
    assert (phase.samples[0].accepted, phase.samples[0].shed) == (0, 1)


def test_a_node_takes_the_settings() -> None:
    """It starts with them, and its budget is that of the table's ratio."""
    given = dict(word.partition("=")[::2] for word in ENVIRONMENT)
    secret = {"SNAPSURGE_AUTH_SECRET": "s" * 32}

    assert config.load(given | secret).in_flight_bytes_max == BUDGET_MIB * 2**20
