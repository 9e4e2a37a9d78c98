"""What breaks on the network: each coroutine breaks a link, waits, mends it, and returns the evidence that it happened.

Evidence are the packets that the rules of a firewall matched, or requests that got no answer. Nothing here knows of
uploads.
"""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Sequence
from functools import partial

from tests.faults import strikes
from tests.faults.catalogue import Fault
from tests.faults.evidence import clock_of, proven, silent
from tests.faults.proxy import FaultProxy
from tests.faults.rig import Rig
from tests.faults.toxics import Slow
from tests.net.network import Host, Network, Rule
from tests.net.programs import GIDS, MINIO, NODE, REDIS, SENTINEL
from tests.net.rig import NetRig

FOR_S = (3.0, 7.0)  # longer than a failover of Redis takes, which Sentinels begin after 1.5 s
BIG_BYTES = 1000  # of a packet that a black hole swallows: more than every answer of a health check
STEP_S = 5.0
STORE_DELAY_S = 0.2


async def held(rules: Sequence[Rule], what: str, rng: random.Random) -> str:
    """Wait, and then count the packets that the rules have matched."""
    await asyncio.sleep(rng.uniform(*FOR_S))
    counts = [rule.packets() for rule in rules]
    return proven(sum(counts) > 0, f"{what}: {' + '.join(map(str, counts))} packets dropped")


async def alone(net: Network, _: Rig, rng: random.Random, *, phones: bool, host: Host | None = None) -> str:
    """One host hears neither of the others, and they do not hear it; `phones` still reach it."""
    lonely = host or rng.choice(net.hosts)
    others = [each for each in net.hosts if each is not lonely]
    with contextlib.ExitStack() as cut:
        sources = [each.address for each in others] + ([] if phones else [net.phones])
        rules = [*cut.enter_context(net.deaf(lonely, sources))]
        for other in others:
            rules += cut.enter_context(net.deaf(other, [lonely.address]))
        return await held(rules, f"host {lonely.name} alone", rng)


async def primary_alone(net: Network, rig: Rig, rng: random.Random) -> str:
    """The host of the Redis primary is cut off from the others, with its node, balancer and worker; phones reach it."""
    assert isinstance(rig, NetRig)
    before = await rig.primary()
    said = await alone(net, rig, rng, phones=True, host=before)
    return f"{said}, the primary was there and is at {(await rig.primary()).name}"


async def one_way(net: Network, _: Rig, rng: random.Random) -> str:
    """One host does not hear another, which hears it."""
    deaf, source = rng.sample(net.hosts, 2)
    with net.deaf(deaf, [source.address]) as rules:
        return await held(rules, f"{deaf.name} does not hear {source.name}", rng)


async def tier_without(net: Network, _: Rig, rng: random.Random, *, tier: str, ports: Sequence[int]) -> str:
    """One tier of one host cannot send to these ports of any host, while the rest of the host can."""
    host = rng.choice(net.hosts)
    match = ("-p", "tcp", "-m", "multiport", "--dports", ",".join(map(str, ports)))
    owner = ("-m", "owner", "--gid-owner", str(GIDS[tier]))
    with net.rule(host, "OUTPUT", *match, *owner, "-j", "DROP") as rule:
        return await held([rule], f"{tier} of {host.name} cannot send to {ports}", rng)


async def lossy(net: Network, _: Rig, rng: random.Random) -> str:
    """One host, or each, loses one to ten per cent of the packets that come to it."""
    share = rng.uniform(0.01, 0.10)
    match = ("-m", "statistic", "--mode", "random", "--probability", f"{share:.3f}")
    hosts = rng.choice((net.hosts, [rng.choice(net.hosts)]))
    with contextlib.ExitStack() as rules:
        made = [rule for host in hosts for rule in rules.enter_context(net.deaf(host, [f"{host.address}/24"], *match))]
        return await held(made, f"{''.join(host.name for host in hosts)} lose {share:.0%}", rng)


async def black_hole(net: Network, _: Rig, rng: random.Random) -> str:
    """One host gets no large packet from the others, as behind a tunnel whose MTU nobody learns."""
    host = rng.choice(net.hosts)
    others = [each.address for each in net.hosts if each is not host]
    with net.deaf(host, others, "-m", "length", "--length", f"{BIG_BYTES}:65535") as rules:
        return await held(rules, f"{host.name} gets no packet of {BIG_BYTES} bytes", rng)


async def flapping(net: Network, rig: Rig, rng: random.Random) -> str:
    """One host's cable is out and in again several times."""
    host, deaf = rng.choice(net.hosts), 0
    for _ in range(rng.randint(3, 6)):
        net.unplug(host)
        try:
            await asyncio.sleep(rng.uniform(0.1, 0.8))
            deaf += await silent(rig.session, f"http://{host.address}:{NODE}/livez")
        finally:
            net.replug(host)
        await asyncio.sleep(rng.uniform(0.2, 1.0))
    return proven(deaf > 0, f"host {host.name} was unplugged, and did not answer {deaf} times")


async def far_store(net: Network, _: Rig, rng: random.Random) -> str:
    """The node of one host has 200 ms to each member of the store."""
    host, slow = rng.choice(net.hosts), Slow(STORE_DELAY_S)
    async with far(net, host, slow):
        await asyncio.sleep(rng.uniform(*FOR_S))
    return proven(slow.hits > 0, f"the store was {STORE_DELAY_S} s away from {host.name}, {slow.hits} pieces late")


@contextlib.asynccontextmanager
async def far(net: Network, host: Host, slow: Slow) -> AsyncIterator[None]:
    """Inside the block, what the node of this host sends to the store goes through slow proxies; open connections end.

    The kernel here has no netem.
    """
    owner = ("-m", "owner", "--gid-owner", str(GIDS["node"]))
    async with contextlib.AsyncExitStack() as opened:
        for member in net.hosts:
            proxy = await opened.enter_async_context(FaultProxy(MINIO, host=member.address, at=net.phones))
            opened.enter_context(proxy.toxic(slow))
            match = ("-p", "tcp", "-d", member.address, "--dport", str(MINIO), *owner)
            there = ("-j", "DNAT", "--to-destination", f"{net.phones}:{proxy.port}")
            opened.enter_context(net.rule(host, "OUTPUT", *match, *there, table="nat"))
            with net.rule(host, "OUTPUT", *match, "-j", "REJECT", "--reject-with", "tcp-reset"):
                await asyncio.sleep(0.2)
        yield


async def clock_off(_: Network, rig: Rig, rng: random.Random) -> str:
    """The clock of one host's node is five seconds ahead or behind."""
    node, offset_s = rng.choice(rig.record().nodes), rng.choice((-STEP_S, STEP_S))
    rig.set_clock(node.id, offset_s)
    try:
        await asyncio.sleep(rng.uniform(*FOR_S))
        seen = await clock_of(rig.session, f"{node.url}/livez")
    finally:
        rig.set_clock(node.id, 0.0)
    return proven(abs(seen - offset_s) < 2, f"node {node.id} was {seen:+.0f} s off")


def faults(net: Network) -> tuple[Fault, ...]:
    """Every fault of a network by name; two of one target never run at once."""
    redis = (REDIS, SENTINEL)
    return (
        Fault("host alone", "network", partial(alone, net, phones=False)),
        Fault("host alone, phones reach it", "network", partial(alone, net, phones=True)),
        Fault("the primary's host alone", "network", partial(primary_alone, net)),
        Fault("one way", "network", partial(one_way, net)),
        Fault("loss", "network", partial(lossy, net)),
        Fault("MTU black hole", "network", partial(black_hole, net)),
        Fault("flapping link", "network", partial(flapping, net)),
        Fault("balancer without Redis", "balancer", partial(tier_without, net, tier="balancer", ports=redis)),
        Fault("node without Redis", "node", partial(tier_without, net, tier="node", ports=redis)),
        Fault("node without store", "node", partial(tier_without, net, tier="node", ports=(MINIO,))),
        Fault("node with 200 ms to the store", "node", partial(far_store, net)),
        Fault("node's clock 5 s off", "node", partial(clock_off, net)),
        Fault("worker without store", "worker", partial(tier_without, net, tier="worker@", ports=(MINIO,))),
        Fault("worker without Redis", "worker", partial(tier_without, net, tier="worker@", ports=redis)),
        *(Fault(f"{tier} killed", tier, partial(strikes.kill, tier)) for tier in ("balancer", "node", "worker")),
    )
