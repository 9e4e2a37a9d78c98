"""Rows 5 and 6: a backing service fails for one process only, or only on connections that were already open."""

import asyncio
import random
from typing import Any

import psutil
from redis.asyncio import Redis

from deploy import servers
from tests.attack.stage import Outcome, Stage
from tests.faults.evidence import clock_of, proven
from tests.faults.proxy import Connection, Toxic, Way
from tests.faults.rig import Server
from tests.faults.toxics import Blackhole
from tests.ports import free_port

CLOCK_S = 20 * 60.0


class OfProcess(Toxic):
    """Applies another toxic to the connections of one process only."""

    def __init__(self, pid: int, toxic: Toxic) -> None:
        super().__init__()
        self._pid, self._toxic = pid, toxic

    async def passes(self, connection: Connection, way: Way, data: bytes) -> bytes:
        """Apply the other toxic when the client is that process; otherwise return the whole piece."""
        if self not in connection.marks:
            connection.marks[self] = int(self._owns(connection))
        if not connection.marks[self]:
            return data
        said = await self._toxic.passes(connection, way, data)
        self.hits = self._toxic.hits
        return said

    def _owns(self, connection: Connection) -> bool:
        port = connection.client.get_extra_info("peername")[1]
        try:
            return any(one.laddr.port == port for one in psutil.Process(self._pid).net_connections("tcp"))
        except psutil.NoSuchProcess:
            return False

    def healed(self, connection: Connection) -> None:
        """Do as the other toxic does."""
        self._toxic.healed(connection)


async def node_without_store(stage: Stage, rng: random.Random, *, harmful: bool) -> Outcome:
    """Drop all bytes between one node and the store; the other nodes still reach the store."""
    proxy, node = stage.rig.store_proxy, rng.choice(stage.rig.record().nodes)
    assert proxy
    with proxy.toxic(OfProcess(node.pid, Blackhole())) as toxic:
        await stage.rest()
    return Outcome(proven(toxic.hits > 0, f"{toxic.hits} pieces of node {node.id} to the store and back vanished"))


async def wrong_clock(stage: Stage, rng: random.Random, *, harmful: bool, offset_s: float = CLOCK_S) -> Outcome:
    """Step one node's clock by `offset_s`, by default 20 minutes."""
    node = rng.choice(stage.rig.record().nodes)
    stage.rig.set_clock(node.id, offset_s)
    try:
        await asyncio.sleep(1.0)
        seen = await clock_of(stage.rig.session, f"{node.url}/livez")
        await stage.rest()
    finally:
        stage.rig.set_clock(node.id, 0.0)
    return Outcome(proven(abs(seen - offset_s) < 5, f"node {node.id} was {seen:+.0f} s off"))


async def redis_demoted(stage: Stage, rng: random.Random, *, harmful: bool) -> Outcome:
    """A planned failover of Redis: new connections reach the new primary, open connections stay with the old one."""
    rig = stage.rig
    port, data = free_port(), rig.folder / f"redis-{free_port()}"
    data.mkdir()
    heir = Server(port, servers.redis_command(port, data), rig.folder / "redis-heir.log")
    await heir.start()
    new: Any = Redis(port=port, socket_timeout=1.0)
    old_server, old = rig.redis_server, rig.redis
    await new.replicaof("127.0.0.1", old_server.port)
    async with asyncio.timeout(20):
        while (await new.info("replication"))["master_link_status"] != "up":
            await asyncio.sleep(0.05)
    await asyncio.sleep(2.0)
    await old.execute_command("FAILOVER", "TO", "127.0.0.1", port)
    async with asyncio.timeout(20):
        while (await new.role())[0] != b"master" or (await old.role())[0] == b"master":
            await asyncio.sleep(0.02)
    stayed = len(rig.redis_proxy.connections)
    rig.redis_proxy.target = port
    rig.redis_server, rig.redis_data, rig.redis = heir, data, new
    # The old primary stays as a replica, so that it still answers on open connections.
    rig.opened.callback(heir.kill)
    rig.opened.push_async_callback(new.aclose)
    await stage.rest()
    role = (await old.role())[0].decode()
    return Outcome(
        proven(role == "slave" and stayed > 0, f"{stayed} connections stayed with the {role} after FAILOVER")
    )
