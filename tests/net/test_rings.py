"""A partition splits the balancers' views of the nodes; after it they agree again, and how fast is measured."""

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path

import aiohttp
import msgspec
import pytest

from deploy.ready import SeenNode
from tests.faults.rig import until
from tests.net.network import Host, Network
from tests.net.programs import ADMIN
from tests.net.rig import NetRig

pytestmark = [pytest.mark.e2e, pytest.mark.long, pytest.mark.timeout(600)]

View = Mapping[str, str]  # node id to its state at one balancer


async def view(session: aiohttp.ClientSession, host: Host) -> View:
    """What the balancer of this host says of each node."""
    async with session.get(f"http://{host.address}:{ADMIN}/nodes") as answer:
        return {row.id: row.state for row in msgspec.json.decode(await answer.read(), type=list[SeenNode])}


async def test_rings_differ_during_a_partition_and_agree_soon_after_it(network: Network, tmp_path: Path) -> None:
    """Each side uses the nodes that it reaches; after the partition every balancer uses all again."""
    first, second, third = network.hosts
    async with NetRig(network, tmp_path / "rig") as rig:
        await rig.healthy()

        async def usable(host: Host) -> set[str]:
            seen = await view(rig.session, host)
            return {node for node, state in seen.items() if state == "healthy"}

        async def split() -> bool:
            return [await usable(host) for host in network.hosts] == [{"a", "b"}, {"a", "b"}, {"c"}]

        async def whole() -> bool:
            return all([await usable(host) == {"a", "b", "c"} for host in network.hosts])

        with network.deaf(third, [first.address, second.address]), network.deaf(first, [third.address]):
            began = time.monotonic()
            with network.deaf(second, [third.address]):
                await until(split, "each side uses its own nodes")
                split_s = time.monotonic() - began
                await asyncio.sleep(3.0)
        began = time.monotonic()
        await until(whole, "all balancers use all nodes")
        print(f"\nrings: split after {split_s:.1f} s, whole {time.monotonic() - began:.1f} s after the partition")
