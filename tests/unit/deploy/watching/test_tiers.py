"""The rows of the view, from what programs say."""

import time

import pytest

from deploy.watching import view
from deploy.watching.observer import Observer
from deploy.watching.problems import UNLED
from deploy.watching.view import View
from tests.unit.deploy.watching.pages import BALANCER, NODE, SCALER, balancer, node, round_of, scaler


def seen(*, nodes: dict[str, dict[str, float]] | None = None, at: float = 2_000.0, **pages: str) -> View:
    """The view of one round of a node, a balancer and an autoscaler."""
    texts = {NODE: pages.get("node", node()), BALANCER: pages.get("balancer", balancer(nodes=nodes))}
    texts[SCALER] = pages.get("scaler", scaler())
    return Observer().add(round_of(at, texts))


@pytest.mark.parametrize(
    ("own", "nodes", "state", "why"),
    [
        ({}, {"a": {}}, view.HEALTHY, ""),
        ({"draining": 1}, {"a": {"up": 0}}, view.DRAINING, ""),
        ({"store_away": 1}, {"a": {"up": 0}}, view.NOT_READY, "store"),
        ({}, {"a": {"up": 0}}, view.UNHEALTHY, ""),
        ({}, {"a": {"starting": 0.5}}, view.STARTING, ""),
        ({}, {}, view.HEALTHY, ""),  # no balancer knows it, but it answers
    ],
)
def test_a_node_has_one_state(own: dict[str, float], nodes: dict[str, dict[str, float]], state: str, why: str) -> None:
    """The worst that the node or a balancer says."""
    (row,) = seen(node=node(**own), nodes=nodes).nodes  # type: ignore[arg-type] # whole numbers
    assert (row.name, row.state, row.why) == ("a", state, why)


def test_a_node_that_does_not_answer_is_told_with_its_reason() -> None:
    """Unless it answered a moment ago; and as long as it is listed, also when balancers have forgotten it."""
    observer = Observer()
    observer.add(round_of(2_000, {NODE: node(), BALANCER: balancer(), SCALER: scaler()}))
    assert observer.add(round_of(2_004.9, {BALANCER: balancer(), SCALER: scaler()}, a="slow")).problems == ()
    found = observer.add(round_of(2_005, {BALANCER: balancer(), SCALER: scaler()}, a="no connection: refused"))
    assert [(row.name, row.state, row.why) for row in found.nodes] == [("a", view.SILENT, "no connection: refused")]
    assert found.problems == ("node a: no answer (no connection: refused)",)
    found = observer.add(round_of(2_007, {BALANCER: balancer(nodes={}), SCALER: scaler()}, a="x"))
    assert [(row.name, row.state) for row in found.nodes] == [("a", view.SILENT)]
    assert observer.add(round_of(2_009, {BALANCER: balancer(nodes={}), SCALER: scaler()})).nodes == ()


def test_a_node_shows_its_budget_and_its_part() -> None:
    """Share of the ring, part of all requests, and uploads in flight against the budget."""
    observer = Observer()
    observer.add(round_of(2_000, {NODE: node(), BALANCER: balancer(nodes={"a": {}, "b": {}})}))
    sent = {"a": {"requests_total": 30.0}, "b": {"requests_total": 10.0}}
    found = observer.add(round_of(2_002, {NODE: node(in_flight=4), BALANCER: balancer(nodes=sent)}))
    a, b = found.nodes
    assert (a.share, a.load, a.per_s, a.in_flight, a.bytes, a.bytes_max) == (0.5, 0.75, 15.0, 4.0, 4000.0, 10000.0)
    assert (a.healthy_at, a.balancers, a.answer_s) == (1, 1, 0.02)
    assert (b.load, b.in_flight, b.bytes_max) == (0.25, None, None)  # not read itself


def spent_s(count: int) -> float:
    """The CPU seconds that a view of so many nodes takes: the least of three."""
    observer, found = Observer(), []
    for number in range(4):
        sent = {f"node-{name}": {"requests_total": number} for name in range(count)}
        round_ = round_of(2_000 + 2 * number, {BALANCER: balancer(nodes=sent)})
        began = time.process_time()
        assert len(observer.add(round_).nodes) == count
        found.append(time.process_time() - began)
    return min(found[1:])


def test_a_view_of_many_nodes_costs_as_much_more_as_there_are_nodes() -> None:
    """Of eight times as many not sixty-four times as much."""
    assert spent_s(1_600) < 24 * spent_s(200)


@pytest.mark.parametrize(
    ("text", "state"),
    [(balancer(), view.HEALTHY), (balancer(panic=1), view.PANIC), (balancer(panic=1, draining=1), view.DRAINING)],
)
def test_a_balancer_has_one_state(text: str, state: str) -> None:
    """Draining counts more than panic: it is on its way out."""
    (row,) = seen(balancer=text).balancers
    assert (row.name, row.state, row.clients, row.in_flight) == ("lb-1", state, 7.0, 3.0)


def test_the_leader_tells_of_queue_and_redis() -> None:
    """Also the ladder's wishes."""
    found = seen(
        scaler=scaler(queue_ready=5, queue_oldest_seconds=2.5, workers_desired=4, dead_letters=1, nodes=6, redis_up=0)
    )
    queue = found.queue
    assert queue is not None
    assert (queue.leader, queue.ready, queue.oldest_s, queue.workers, queue.desired) == (
        "autoscaler",
        5.0,
        2.5,
        1.0,
        4.0,
    )
    assert queue.tiers == {"node": 6}
    assert [(shard.name, shard.up, shard.bytes) for shard in found.shards] == [("127.0.0.1:6379", False, None)]
    assert [(shard.up, shard.bytes, shard.bytes_max) for shard in seen().shards] == [(True, 2048.0, 0.0)]
    assert set(found.problems) == {"1 dead letters", "Redis 127.0.0.1:6379: no answer"}


@pytest.mark.parametrize(("behind_s", "problems"), [(120.0, ()), (121.0, ("the sweeper is 121 s behind",))])
def test_a_sweeper_that_is_behind_is_a_problem(behind_s: float, problems: tuple[str, ...]) -> None:
    """From two minutes on, as the alert says."""
    assert seen(scaler=scaler(sweep_behind_seconds=behind_s)).problems == problems


def test_a_standby_is_no_leader() -> None:
    """It shows nothing of the queue."""
    found = seen(scaler=scaler(elected=0))
    assert found.queue is None
    assert found.shards == ()
    assert found.problems == (UNLED,)
