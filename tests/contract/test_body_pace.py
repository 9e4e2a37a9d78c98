"""Balancer and node have one rule for slow bodies: random phones, read as both read them, on a clock of ticks.

The balancer is a real `Client` with fake transports, the node its `Pace`. The rule, for a phone: no silence over 30 s,
and at each moment as many bytes as the rate asks for, but for 30 s. A phone that keeps it is never cut, neither while
the balancer connects nor while the node takes nothing; one that breaks it is cut soon; and the balancer, which sees
the phone, cuts before the node does.
"""

import random
import socket
from collections.abc import Callable

import pytest

from ingest.body.pace import Pace as NodePace
from ingest.config import Config as NodeConfig
from lb.config import Config
from lb.relay.pace import CHECK_S
from lb.relay.waking import WAKE_BYTES
from tests.unit.lb.conftest import Stage

TICK_S = 0.25
POST = b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 100000000\r\n\r\n"
LB, NODE = Config(), NodeConfig(auth_secret="s" * 32)
RATE = LB.body_rate_bytes_min
SEEDS = range(10)
Phone = Callable[["Upload"], int]

pytestmark = pytest.mark.asyncio


class Upload:
    """One upload through a balancer to a node; `sent` and `silent_s` are the phone's."""

    def __init__(self, rng: random.Random) -> None:
        self.stage = Stage()
        self.client, self.transport = self.stage.client()
        self.client.data_received(POST)
        self.rng = rng
        self.now = self.silent_s = 0.0
        self.sent = self.read = 0
        self.cut_by = ""
        self._connected_at = rng.choice([TICK_S, TICK_S, 1.0, 3.0])
        self._link = self._node = None
        self._kernel = 0  # bytes that wait in the balancer's socket

    @property
    def spare_s(self) -> float:
        """Seconds until the phone breaks the rule, if it sends nothing."""
        return min(LB.body_stall_s - self.silent_s, LB.body_grace_s + self.sent / RATE - self.now)

    def run(self, phone: Phone, seconds: float) -> "Upload":
        """Let the phone send for so long, or until it is cut."""
        end = self.now + seconds
        while self.now < end and not self.cut_by:
            self._tick(phone(self))
        return self

    def _tick(self, count: int) -> None:
        self.now += TICK_S
        self.sent += count
        self.silent_s = 0.0 if count else self.silent_s + TICK_S
        self._relay()
        if self.now % 1.0 == 0.0:
            self.client.check(1.0)
            self.cut_by = "lb" if self.transport.written else ""
        if self._node is not None and self.now > self._node.due():
            self.cut_by = self.cut_by or "node"

    def _relay(self) -> None:
        if self._link is None and self.now >= self._connected_at:
            self._link, _ = self.stage.link(self.client)
            self._node = NodePace(
                self.now, grace_s=NODE.body_grace_s, stall_s=NODE.body_stall_s, rate=NODE.body_rate_min_bytes_s
            )
        if self._link is not None and not self._link.taking and self.rng.random() < 0.3:
            self._link.resume_writing()
        # The kernel wakes the balancer for as many bytes as it asked for; more than a socket holds wakes it at once.
        new, near = self.sent - self.read - self._kernel, self.transport.near
        if new < WAKE_BYTES:
            self._kernel += self.transport.far.send(bytes(new))
        if self.transport.reading and self.sent - self.read >= near.getsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT):
            if self._kernel:
                near.recv(1 << 20)
                self._kernel = 0
            count, self.read = self.sent - self.read, self.sent
            self.client.data_received(bytes(count))
            if self._link is not None and count > LB.write_bytes_max and self.rng.random() < 0.5:
                self._link.pause_writing()
        if self._node is not None:
            self._node.moved(self.now, self.read)


@pytest.fixture
async def upload(request: pytest.FixtureRequest) -> Upload:
    """With the test's seed; its stage is closed afterwards."""
    made = Upload(random.Random(request.getfixturevalue("seed")))
    yield made
    made.stage.close()


def lazy(upload: Upload) -> int:
    """A phone that keeps the rule and no more: bursts, pieces, and silences to the last moment."""
    rng = upload.rng
    if upload.spare_s <= TICK_S:
        return RATE if rng.random() < 0.5 else rng.randint(1, 8) * RATE
    return rng.choice([1, 4000, 300_000]) if rng.random() < 0.01 else 0


def steady(upload: Upload) -> int:
    """A phone at the rate, with silences for as long as it may."""
    resting = upload.silent_s > 0 or upload.rng.random() < 0.02
    return 0 if resting and upload.spare_s > TICK_S else int(RATE * TICK_S)


def erratic(upload: Upload) -> int:
    """Anything, the rule broken or not."""
    rng = upload.rng
    return rng.choice([1, 500, 5000, 40_000, 400_000]) if rng.random() < rng.choice([0.005, 0.05, 0.5]) else 0


@pytest.mark.parametrize("phone", [lazy, steady])
@pytest.mark.parametrize("seed", SEEDS)
async def test_a_phone_that_keeps_the_rule_is_never_cut(upload: Upload, phone: Phone, seed: int) -> None:
    """For minutes, with silences of up to 30 s at any point."""
    assert upload.run(phone, 400.0).cut_by == ""


@pytest.mark.parametrize("then", [lambda _: 0, lambda _: 1], ids=["silent", "trickle"])
@pytest.mark.parametrize("before", [lazy, steady])
@pytest.mark.parametrize("seed", SEEDS)
async def test_a_phone_that_breaks_the_rule_is_cut_soon(upload: Upload, before: Phone, then: Phone, seed: int) -> None:
    """After any time in which it kept the rule; two checks later at most."""
    upload.run(before, seed * 7.0)
    spare_s = upload.spare_s if then(upload) == 0 else LB.body_grace_s + upload.sent / RATE - upload.now
    upload.run(then, 10_000.0)

    assert upload.cut_by == "lb"
    assert upload.now <= seed * 7.0 + spare_s * 2 + 3 * CHECK_S + 3  # no seconds are charged while the node takes none


@pytest.mark.parametrize("seed", range(20))
async def test_the_node_never_cuts_what_the_balancer_lets_pass(upload: Upload, seed: int) -> None:
    """Whatever the phone does."""
    assert upload.run(erratic, 400.0).cut_by != "node"
