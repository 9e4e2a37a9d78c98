"""What each target said in a round."""

from deploy.watching.exposition import parse
from deploy.watching.rounds import Seen, summed, tier_of
from deploy.watching.targets import Target
from tests.unit.deploy.watching.pages import balancer, node, scaler


def test_a_tier_that_nobody_told_follows_from_the_page() -> None:
    """Each kind of program has a metric that no other has; a standby autoscaler has hardly another one."""
    unnamed = Target("http://127.0.0.1:1/metrics")
    texts = {
        "balancer": balancer(),
        "node": node(),
        "autoscaler": scaler(elected=0),
        "worker": "snapsurge_worker_claims_total 1",
    }
    assert {tier: tier_of(unnamed, parse(text)) for tier, text in texts.items()} == {tier: tier for tier in texts}
    assert tier_of(unnamed, parse("")) == tier_of(unnamed, None) == ""
    assert tier_of(Target("http://x:1/metrics", tier="node"), None) == "node"


def test_a_sum_of_nothing_known_is_not_known() -> None:
    """And zero is known."""
    assert summed(iter([None, None])) is None
    assert summed(iter([None, 0.0, 2.0])) == 2.0


def test_a_target_that_did_not_answer_says_nothing() -> None:
    """No samples, no rates."""
    silent = Seen("a", "node", why="no connection")
    assert silent.get("snapsurge_workers") is None
    assert list(silent.each("snapsurge_workers")) == []
    assert silent.per_s("snapsurge_posts_total") is None
