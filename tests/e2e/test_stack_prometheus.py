"""`python -m deploy up --prometheus`: a real Prometheus finds every program, and each panel's query has data."""

import json
import shutil
import signal
import urllib.parse
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.dashboards import queries
from tests.e2e.test_stack_up import call, until, up

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(900),
    pytest.mark.skipif(shutil.which("prometheus") is None, reason="Prometheus is missing: apt-get install prometheus"),
]
USERS = 4
WORDS = ("--prometheus", "--port", "0", "--nodes", "2", "--balancers", "1", "--workers-min", "1", "--workers-max", "1")
SETTLED_S = 300.0


def asked(prometheus: str, path: str, **parameters: str) -> Any:
    """The data of an answer of Prometheus."""
    with urllib.request.urlopen(f"{prometheus}/api/v1/{path}?{urllib.parse.urlencode(parameters)}") as answer:
        return json.loads(answer.read())["data"]


def opened(door: str, **wanted: str | int) -> Any:
    """A new moment."""
    status, moment = call(f"{door}/v1/moments", "ops", "ops", json.dumps(wanted).encode(), "application/json")
    assert status == 201, moment
    return moment


def burst(door: str, state: Path) -> str:
    """Open a moment of a second, and post a pair of each user; its id."""
    moment = opened(door, region="eu", window_s=1)
    for user in range(USERS):
        status, post = posted(door, state, moment["id"], f"u{user}")
        assert status == 201, post
    return str(moment["id"])


def posted(door: str, state: Path, moment: str, user: str) -> tuple[int, Any]:
    """Post the sample pair as this user, once; status and JSON."""
    parts = []
    for side in ("front", "back"):
        named = f'Content-Disposition: form-data; name="{side}"; filename="a.jpg"'
        head = f"--x\r\n{named}\r\nContent-Type: image/jpeg\r\n\r\n"
        parts.append(head.encode() + (state / f"{side}.jpg").read_bytes() + b"\r\n")
    body = b"".join(parts) + b"--x--\r\n"
    return call(f"{door}/v1/moments/{moment}/posts", user, "upload", body, "multipart/form-data; boundary=x")


def test_prometheus_sees_every_program_and_every_panel_has_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found by service discovery, also the workers on ports that nobody chose; after a moment, no panel is empty.

    And no alert has fired, with another moment twenty-five minutes ahead.
    """
    # With more, the limit of descriptors of many a machine is too small, which is an alert.
    monkeypatch.setenv("SNAPSURGE_LB_CONNECTIONS_MAX", "256")
    with up(tmp_path / "state", *WORDS) as stack:
        record = until(lambda: stack.record() if len(stack.record()["metrics"]) == 5 else None)
        assert sorted(page["tier"] for page in record["metrics"]) == [
            "autoscaler",
            "balancer",
            "node",
            "node",
            "worker",
        ]
        addresses = {page["url"] for page in record["metrics"]}

        def healthy() -> bool:
            targets = asked(record["prometheus"], "targets")["activeTargets"]
            return {one["scrapeUrl"] for one in targets if one["health"] == "up"} == addresses

        until(healthy)  # before the burst: what a series begins with, `increase()` does not see
        soon = datetime.now(UTC) + timedelta(minutes=25)
        opened(record["balancers"][0]["url"], region="us", fires_at=f"{soon:%Y-%m-%dT%H:%M:%S.000Z}")
        moment = burst(record["balancers"][0]["url"], stack.state)
        left = queries()

        def all_have_data() -> bool:
            for title, query in list(left.items()):
                if asked(record["prometheus"], "query", query=query)["result"]:
                    del left[title]
            return not left

        until(all_have_data, SETTLED_S)
        posts = f'moment_state:snapsurge_posts:max{{state="accepted",moment="{moment}"}}'
        accepted = asked(record["prometheus"], "query", query=posts)
        assert [one["value"][1] for one in accepted["result"]] == [str(USERS)]
        assert not asked(record["prometheus"], "query", query="moment:snapsurge_pairs_given_up:ratio > 0")["result"]
        assert asked(record["prometheus"], "query", query="moment:snapsurge_fires_in:seconds <= 1800")["result"]
        fired = asked(record["prometheus"], "query", query='count_over_time(ALERTS{alertstate="firing"}[1h])')["result"]
        assert fired == []


def test_a_stack_that_starts_again_on_other_ports_fires_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prometheus, restarted with it, has the last samples of all programs of before, which no target replaces."""
    monkeypatch.setenv("SNAPSURGE_LB_CONNECTIONS_MAX", "256")

    def scraped_often(record: dict[str, Any], often: int) -> Any:
        query = f'count(count_over_time(up{{job="snapsurge"}}[5m]) >= {often}) >= 5'
        return asked(record["prometheus"], "query", query=query)["result"]

    with up(tmp_path / "state", *WORDS) as stack:
        record = until(lambda: stack.record() if len(stack.record()["metrics"]) == 5 else None)
        soon = datetime.now(UTC) + timedelta(minutes=25)
        opened(record["balancers"][0]["url"], region="us", fires_at=f"{soon:%Y-%m-%dT%H:%M:%S.000Z}")
        until(lambda: scraped_often(record, 6))
        assert stack.stop(signal.SIGTERM) == 0
        before = {page["url"] for page in record["metrics"]}
    with up(tmp_path / "state", *WORDS) as stack:
        record = until(lambda: stack.record() if len(stack.record()["metrics"]) == 5 else None)
        addresses = {page["url"].split("/")[2] for page in record["metrics"]}
        assert not before & {page["url"] for page in record["metrics"]}
        known = f'count_over_time(up{{instance=~"{"|".join(addresses)}"}}[5m]) >= 16'  # alerts wait for a minute
        until(lambda: len(asked(record["prometheus"], "query", query=known)["result"]) == 5, SETTLED_S)

        assert asked(record["prometheus"], "query", query="moment:snapsurge_fires_in:seconds <= 1800")["result"]
        fired = asked(record["prometheus"], "query", query='count_over_time(ALERTS{alertstate="firing"}[3m])')["result"]
        assert fired == []
