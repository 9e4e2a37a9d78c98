"""Models of mobile networks: how fast an upload's bytes leave a phone, where its connections end, how long it waits.

Nobody has published which share of mobile uploads fail, so **each share of broken connections here is a model**, and
whatever is derived from one says "model". What was published stands beside the network that uses it.

The replay does not wait for round trips of connecting and asking; for packets see `tests/net/`. Pure.
"""

from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from .columns import NO_BREAK, Columns
from .lines import BREAKS_MAX
from .synthesis import Uplink

MSS_BYTES: Final = 1460
RATE_MIN: Final = 4000  # bytes/s: the service cuts off who is slower, as any phone would give up
QUANTILES: Final = (0.0, 0.5, 0.75, 0.95, 0.99, 1.0)

Floats = NDArray[np.floating[Any]]


class Network(msgspec.Struct, frozen=True, kw_only=True):
    """A model; shares are of 1.

    `rtt_ms` and `pause_s` are values at `QUANTILES`, between which a value is interpolated. A connection loses packets
    with the chance `lossy`, `loss` of them, and ends early with the chance `broken`; an upload has `breaks_max` breaks
    at most.
    """

    uplinks: tuple[Uplink, ...]
    rtt_ms: tuple[float, ...]
    lossy: float
    loss: float
    broken: float
    pause_s: tuple[float, ...]
    breaks_max: int = 4


NETWORKS: Final = {
    # Uber's table of its TCP connections in India (uber.com/blog/employing-quic-protocol, 2019), used as it stands: 45
    # % of the connections lose a packet, which then lose 3.5 % of theirs; 76 % of those lose one while data is sent;
    # retransmissions take 1, 2.8, 15 and 28 s (p50, p75, p95, p99).
    "uber-india": Network(
        uplinks=(Uplink(62_500, 0.25), Uplink(125_000, 0.25), Uplink(250_000, 0.3), Uplink(625_000, 0.2)),
        rtt_ms=(100, 350, 425, 725, 2300, 2300),
        lossy=0.45,
        loss=0.035,
        # A connection ends where a retransmission takes more than 5 s, which by that table 18 % do: 0.45 x 0.76 x 0.18.
        # That a phone gives up after 5 s is the model.
        broken=0.062,
        pause_s=(5.0, 10.7, 16.2, 28.2, 29.6, 30.0),  # the part above 5 s of the retransmissions' delays
    ),
    # Wi-Fi has "generally lower absolute latency" and more throughput than cellular (Sommers and Barford, "Cell vs.
    # WiFi", IMC 2012), from which only the order of the figures is taken. All figures are a model.
    "wifi": Network(
        uplinks=(Uplink(625_000, 0.2), Uplink(1_250_000, 0.4), Uplink(2_500_000, 0.4)),
        rtt_ms=(5, 20, 35, 90, 200, 200),
        lossy=0.1,
        loss=0.005,
        broken=0.01,
        pause_s=(5.0, 6.0, 8.0, 12.0, 20.0, 30.0),  # until the phone has gone over to the mobile network
    ),
    # Half of the uplinks reach 6 Mbit/s (Huang et al., "A Close Examination of Performance and Power Characteristics of
    # 4G LTE Networks", MobiSys 2012). Round trips, loss and breaks are a model.
    "lte": Network(
        uplinks=(Uplink(125_000, 0.1), Uplink(375_000, 0.25), Uplink(750_000, 0.4), Uplink(1_500_000, 0.25)),
        rtt_ms=(25, 60, 80, 150, 400, 400),
        lossy=0.1,
        loss=0.01,
        broken=0.03,
        pause_s=(5.0, 7.0, 10.0, 20.0, 28.0, 30.0),
    ),
    # On trains 70 % of the loss falls into changes of the radio technology and gaps of service, and a third of those
    # changes end the connection (Baltrunas et al., "Investigating Packet Loss in Mobile Broadband Networks under
    # Mobility", IFIP Networking 2016). All figures are a model: a gap between any two stations.
    "subway": Network(
        uplinks=(Uplink(62_500, 0.3), Uplink(125_000, 0.3), Uplink(375_000, 0.3), Uplink(750_000, 0.1)),
        rtt_ms=(30, 100, 200, 600, 2000, 2000),
        lossy=0.5,
        loss=0.02,
        broken=0.35,
        pause_s=(5.0, 15.0, 20.0, 28.0, 30.0, 30.0),
    ),
}


def through(columns: Columns, network: Network, rng: np.random.Generator) -> Columns:
    """The burst as this network lets it through: slower uplinks where packets are lost, and breaks with pauses."""
    rate = np.minimum(columns.up, _rates(columns.count, network, rng))
    sizes, sent = columns.f.astype(np.int64) + columns.b, np.full(columns.count, -1, np.int64)
    alive = np.ones(columns.count, bool)
    offsets, pauses = [], []
    for _ in range(min(network.breaks_max, BREAKS_MAX)):
        chance, place, pause_s = (rng.random(columns.count) for _ in range(3))
        # At least one byte is sent between two breaks, and at least one after the last.
        found = sent + 1 + np.floor(place * (sizes - sent - 1)).astype(np.int64)
        # Breaks are memoryless: each connection of an upload ends with the same chance, anywhere in what is left to
        # send.
        alive &= (chance < network.broken) & (sent + 1 < sizes)
        sent = np.where(alive, found, sent)
        offsets.append(np.where(alive, found, NO_BREAK))
        pauses.append(np.where(alive, np.rint(1000 * np.interp(pause_s, QUANTILES, network.pause_s)), NO_BREAK))
    width = sum(bool((one != NO_BREAK).any()) for one in offsets)
    d, p = (np.array(table[:width], np.int32).reshape(width, columns.count).T for table in (offsets, pauses))
    return msgspec.structs.replace(columns, up=np.rint(rate).astype(columns.up.dtype), d=d, p=p)


def _rates(count: int, network: Network, rng: np.random.Generator) -> Floats:
    """Bytes/s that loss and round trips leave to each connection."""
    lossy, place = rng.random(count), rng.random(count)
    rtt_s = np.interp(place, QUANTILES, network.rtt_ms) / 1000
    # A trace has no round trips and no packets, so both go into the uplink's rate: with loss p a connection carries at
    # most MSS / RTT x sqrt(3 / (2 p)) (Mathis et al., "The Macroscopic Behavior of the TCP Congestion Avoidance
    # Algorithm", CCR 1997).
    found = np.maximum(MSS_BYTES / rtt_s * np.sqrt(1.5 / network.loss), RATE_MIN)
    return np.where(lossy < network.lossy, found, np.inf)
