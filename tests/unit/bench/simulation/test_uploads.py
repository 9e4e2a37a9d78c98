"""The upload path: what a try passes, and what is counted."""

import numpy as np
import pytest

from bench.simulation import phones, uploads
from bench.simulation.admitting import admit
from bench.simulation.rules import commits_began
from bench.simulation.world import (
    ACCEPTED,
    ANSWERED,
    IN_FLIGHT,
    LB,
    NODE,
    NODE_RECORD,
    RECEIVED,
    SHED,
    STORED,
    TICK,
    TRIES,
    WAITING,
    World,
)
from tests.unit.bench.simulation.simulated import costs, fleet, here, play, poisson


def world(**more: object) -> World:
    """One node; a user who is about to try."""
    return play(poisson(10, 30), of=fleet(nodes=1, **more), cost=costs(node_ms=4.0)).world  # type: ignore[arg-type]


def test_an_upload_passes_placement_admission_body_and_put() -> None:
    """Its events are at the times at which they happen, and its CPU counts for balancer and node."""
    w = world()
    uploads.try_upload(w, 0, 0.5)
    assert (w.users["kind"][0], w.users["at"][0]) == (RECEIVED, 1.5)
    assert w.lbs["load"][0] == 100_000
    uploads.receive(w, 0, 1.5)
    assert w.users["kind"][0] == STORED
    assert w.users["at"][0] == pytest.approx(1.5 + 0.0001 + 0.004 + 0.002)
    w.counts[TICK] = 30
    uploads.store(w, 0, float(w.users["at"][0]))
    assert w.users["finished"][0] == pytest.approx(1.5081, abs=1e-4)
    assert w.flows[[LB, NODE]].tolist() == pytest.approx([0.0001, 0.004])
    assert (w.counts[IN_FLIGHT], w.lbs["load"][0], w.nodes["requests"][0]) == (0, 0, 0)


def test_a_process_does_one_thing_after_the_other() -> None:
    """Two bodies that are whole at the same time: the second one waits for the node."""
    w = world()
    for i in range(2):
        uploads.try_upload(w, i, 0.5)
    for i in range(2):
        uploads.receive(w, i, 1.5)
    assert w.users["at"][1] - w.users["at"][0] == pytest.approx(0.004, rel=0.05)


def test_bodies_wait_in_order_for_a_put() -> None:
    """The gate lets in as many as `Commits` allows, and answers 503 to one that waited too long."""
    w = world()
    w.nodes["puts_max"] = 1.0
    w.counts[TICK] = 30
    for i in range(3):
        uploads.try_upload(w, i, 0.5)
        uploads.receive(w, i, 1.5)
    assert w.nodes["waiting"][0] == 2
    uploads.store(w, 0, 1.6)
    assert (w.nodes["waiting"][0], w.users["kind"][1]) == (1, STORED)
    uploads.time_out(w, 21.4)
    assert w.counts[SHED] == 0
    w.counts[TICK] = 432
    uploads.time_out(w, 21.6)
    assert (w.counts[SHED], w.counts[WAITING], w.users["kind"][2]) == (1, 1, TRIES)


def test_no_put_begins_before_its_node_has_the_body() -> None:
    """A node that is behind by seconds: a PUT that ends lets the next body in, but not before that body is whole."""
    w = world()
    w.nodes["puts_max"] = 1.0
    for i in range(2):
        uploads.try_upload(w, i, 0.5)
    uploads.receive(w, 0, 1.5)
    w.nodes["free"][0] = 5.0
    uploads.receive(w, 1, 1.5)
    uploads.store(w, 0, 1.6)
    assert w.users["at"][1] == pytest.approx(5.0 + 0.004 + 0.002)


def test_an_answer_is_given_when_it_is_due() -> None:
    """A Redis at a hundredth of its speed: the 201 comes 0.2 s after the PUT, and until then the phone is in flight."""
    w = play(poisson(10, 3), of=here()).world
    w.machines["speed"] = 0.01
    uploads.try_upload(w, 0, 0.5)
    phones.withdraw(w, 0)
    w.counts[TICK] = 20
    w.users["left"][0] = 1.0
    uploads.store(w, 0, 1.0)
    assert (w.counts[IN_FLIGHT], w.users["kind"][0], w.users["at"][0]) == (1, ANSWERED, pytest.approx(1.2))
    uploads.answer(w, 0, 1.2)
    assert (w.counts[IN_FLIGHT], w.counts[ACCEPTED], w.users["finished"][0]) == (0, 1, pytest.approx(1.2))


def test_a_hung_store_refuses_at_once() -> None:
    """No PUT ended for five seconds: 503 with a wait, and the user's home is noted as having refused."""
    w = world()
    commits_began(w.nodes[0], 1.0)
    w.counts[TICK] = 140
    uploads.try_upload(w, 0, 7.0)
    assert (w.counts[SHED], w.counts[WAITING], w.counts[IN_FLIGHT]) == (1, 1, 0)
    assert w.users["at"][0] >= 8.0
    assert w.lbs["load"][0] == 0


def test_memory_that_runs_short_sheds_what_comes() -> None:
    """Bytes are followed at nodes whose budget is nearly full; held bytes never exceed it."""
    w = world(settings={"SNAPSURGE_INGEST_IN_FLIGHT_BYTES_MAX": "900000"})
    w.usual["value"][0, 1] = 1000.0
    w.users["send_s"] = 10.0
    for i in range(20):
        uploads.try_upload(w, i, 0.5 + i / 100)
    for step in range(1, 100):
        uploads.follow_bytes(w, 0.5 + step / 10)
        assert w.nodes["held"][0] <= 900_000
    assert w.counts[SHED] > 0


def test_a_lost_upload_is_tried_again() -> None:
    """The balancer answers 502 with a ticket."""
    w = world()
    uploads.try_upload(w, 0, 0.5)
    phones.withdraw(w, 0)
    w.counts[TICK] = 14
    phones.lose(w, 0, 0, 0.7)
    assert (w.users["kind"][0], w.counts[WAITING], w.lbs["load"][0]) == (TRIES, 1, 0)


def test_a_nodes_record_has_the_fields_of_its_parts_once() -> None:
    """Names of Commits, Returns and Admission do not collide."""
    names = NODE_RECORD.names or ()
    assert len(names) == len(set(names))
    w = world()
    assert admit(w, 0, 5, 1, 1.0)
    assert np.isfinite(w.nodes["free"][0])
