"""Uploads a second, from counters of balancers and nodes."""

import pytest

from deploy.watching.exposition import UPLOAD_SECONDS
from deploy.watching.flows import flow, histogram
from deploy.watching.observer import Observer
from deploy.watching.view import Flow, View
from tests.unit.deploy.watching.pages import BALANCER, NODE, balancer, node, round_of


def after(*rounds: dict[str, str]) -> View:
    """The view after rounds of two seconds each, of a node and a balancer."""
    observer, targets = Observer(), {"node": NODE, "balancer": BALANCER}
    for number, pages in enumerate(rounds):
        found = observer.add(round_of(2_000 + 2 * number, {targets[tier]: text for tier, text in pages.items()}))
    return found


def test_the_first_round_knows_no_rates() -> None:
    """None, and not zero."""
    assert after({"node": node(accepted=5), "balancer": balancer()}).flow == Flow()


def test_an_upload_is_offered_at_its_head_and_accepted_at_its_end() -> None:
    """Six heads, of which four were accepted and two are in flight; then the two end: never more than are offered."""
    first, second = (
        {"node": node(), "balancer": balancer()},
        {"node": node(accepted=4, in_flight=2), "balancer": balancer()},
    )
    assert after(first, second).flow == Flow(offered=3.0, accepted=2.0, shed=0.0, back=0.0)
    third = {"node": node(accepted=6), "balancer": balancer()}
    assert after(first, second, third).flow == Flow(offered=1.0, accepted=1.0, shed=0.0, back=0.0)


def test_what_is_shed_is_counted_once() -> None:
    """A node's 503 passes through the balancer, which counts it with its ticket; its own are there too."""
    shed = {"node": node(accepted=2, shed=4), "balancer": balancer(given=6, honoured=2)}
    found = after({"node": node(), "balancer": balancer()}, shed)
    assert found.flow == Flow(offered=4.0, accepted=1.0, shed=3.0, back=1.0)


def test_without_balancers_the_nodes_tell_what_they_shed() -> None:
    """A node may be looked at alone."""
    assert after({"node": node()}, {"node": node(accepted=2, shed=4)}).flow == Flow(offered=3.0, accepted=1.0, shed=2.0)


def test_uploads_that_die_with_their_node_were_offered_once() -> None:
    """They were counted at their heads; then their 502s are refusals of these, told in their round."""
    alive = {"node": node(in_flight=4), "balancer": balancer()}
    dead = {"node": node(started=2_001.0), "balancer": balancer(given=4)}
    assert after({"node": node(), "balancer": balancer()}, alive).flow.offered == 2.0
    found = after({"node": node(), "balancer": balancer()}, alive, dead)
    assert (found.flow.offered, found.flow.shed) == (2.0, 2.0)


def test_less_is_never_offered_than_was_accepted_and_shed() -> None:
    """Clients that leave are taken back from what was offered, but not from what others sent."""
    first = {"node": node(in_flight=20), "balancer": balancer()}
    found = after(first, {"node": node(accepted=4), "balancer": balancer(given=6)}).flow
    assert (found.offered, found.accepted, found.shed) == (5.0, 2.0, 3.0)


def test_histograms_add_over_nodes() -> None:
    """Only what they gained."""
    assert flow([], None) == Flow()
    assert histogram([], UPLOAD_SECONDS).count == 0
    times = after({"node": node(accepted=100)}, {"node": node(accepted=110, slow=5)}).uploads
    assert times.count == 10
    assert times.p50_s == pytest.approx(0.1)
    assert times.p99_s == pytest.approx(0.982)
