"""Alerts that are really caused, on a real Prometheus: a store that loses its quorum in a moment, and then is away.

`deploy/prometheus/tests` shows for every alert when it fires and when not, on samples that somebody wrote. Here the
programs make the samples.
"""

import shutil
import time
from pathlib import Path

import pytest

from tests.e2e.test_stack_prometheus import asked, opened, posted
from tests.e2e.test_stack_up import until, up
from tests.erasure import erasure_set

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.long,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(shutil.which("prometheus") is None, reason="Prometheus is missing: apt-get install prometheus"),
]
WORDS = ("--prometheus", "--port", "0", "--nodes", "3", "--balancers", "1", "--workers-min", "1", "--workers-max", "1")
PHONES = 6
# Longer than the window of a rate and the `for` of an alert together; of the sweeper 120 s more; of the budget, the
# time in which a moment settles.
SOON_S, SWEEPER_S, SETTLED_S = 180.0, 400.0, 660.0


def firing(prometheus: str) -> set[str]:
    """The names of the alerts that fire now."""
    alerts = asked(prometheus, "alerts")["alerts"]
    return {one["labels"]["alertname"] for one in alerts if one["state"] == "firing"}


def test_a_store_that_loses_its_quorum_in_a_moment_pages(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The lost quorum at once; without any member panic, because all nodes fail their checks, and the sweeper.

    Then the budget of the moment: phones that were refused do not come back, as its account says later.
    """
    began = time.monotonic()

    def fires(alert: str, within_s: float) -> None:
        until(lambda: alert in firing(prometheus), within_s)
        with capsys.disabled():
            print(f"\n{alert} fires {time.monotonic() - began:.0f} s after the loss", end="")

    with erasure_set(tmp_path) as cluster, up(tmp_path / "s", "--store", cluster.url("alerts"), *WORDS) as stack:
        record = until(lambda: stack.record() if len(stack.record()["metrics"]) == 6 else None)
        prometheus, door = record["prometheus"], record["balancers"][0]["url"]
        until(lambda: asked(prometheus, "query", query='count(up{job="snapsurge"} == 1) == 6')["result"], SOON_S)
        moment = opened(door, region="eu", window_s=30)["id"]
        assert posted(door, stack.state, moment, "kept")[0] == 201
        assert not firing(prometheus) & {"SnapsurgeStoreQuorumLost", "SnapsurgePanic", "SnapsurgeSweeperBehind"}

        for one in cluster.members[:2]:
            one.kill()
        began = time.monotonic()
        assert [posted(door, stack.state, moment, f"gone{number}")[0] for number in range(PHONES)] == [503] * PHONES
        fires("SnapsurgeStoreQuorumLost", SOON_S)

        for one in cluster.members[2:]:
            one.kill()
        fires("SnapsurgePanic", SOON_S)
        fires("SnapsurgeSweeperBehind", SWEEPER_S)

        for one in cluster.members:
            one.start()
        cluster.whole()
        fires("SnapsurgeBudgetSpent", SETTLED_S)
        given_up = asked(prometheus, "query", query="moment:snapsurge_pairs_given_up:count")["result"]
        assert [one["value"][1] for one in given_up] == [str(PHONES)]
        until(lambda: not firing(prometheus) & {"SnapsurgeStoreQuorumLost", "SnapsurgePanic"}, SOON_S)
