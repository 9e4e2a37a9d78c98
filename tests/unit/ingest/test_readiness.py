"""Whether a node can do its job: what speaks against it, from both sides of each limit."""

import pytest

from ingest.readiness import (
    AHEAD_S_MAX,
    COMMITS_FAILED,
    COMPARED_S,
    REDIS,
    REST_S,
    SILENT_S,
    SOURCES_MAX,
    Readiness,
    told,
)

NOW = 1000.0


def ready() -> Readiness:
    """A node whose store answered just now."""
    return Readiness(NOW, room_bytes=20 * 1024 * 1024)


def test_a_store_that_does_not_answer_is_a_reason_and_its_answer_ends_it() -> None:
    """A probe's or a commit's; the reason says for how long there was none."""
    for heard in (Readiness.answered, Readiness.committed):
        found = ready()
        assert found.reasons(NOW + SILENT_S - 0.01) == {}
        assert told(found.reasons(NOW + SILENT_S)) == "store: no answer for 4 s"
        heard(found, NOW + 60)
        assert found.reasons(NOW + 60) == {}


def test_commits_that_fail_count_although_the_probe_is_answered() -> None:
    """Several in a row; not with one that went well among them, not long ago, not far apart."""
    found = ready()
    for number in range(COMMITS_FAILED):
        assert found.reasons(NOW) == {}
        found.failed(NOW + number * 0.1)
        found.answered(NOW)
    assert told(found.reasons(NOW + 1)) == "store: the last 3 commits failed"
    found.answered(NOW + REST_S + 1)
    assert found.reasons(NOW + REST_S + 1) == {}

    for _ in range(COMMITS_FAILED - 1):
        found.failed(NOW + 20)
    found.committed(NOW + 20)
    found.failed(NOW + 20)
    assert found.reasons(NOW + 20) == {}

    for number in range(COMMITS_FAILED):
        found.failed(NOW + 30 + number * (REST_S + 0.1))
        found.answered(NOW + 30 + number * (REST_S + 0.1))
        assert found.reasons(NOW + 30 + number * (REST_S + 0.1)) == {}


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({}, ""),
        ({"a": AHEAD_S_MAX}, ""),
        ({"a": AHEAD_S_MAX + 1}, "clock: 61 s ahead of the balancers"),
        ({REDIS: -1203.0}, "clock: 1,203 s behind Redis"),
        ({"a": 1203.0, "b": 1203.2, REDIS: 1202.9}, "clock: 1,203 s ahead of the balancers and Redis"),
        ({"a": 1203.0, REDIS: 0.0}, ""),
        ({"a": 1203.0, "b": 0.0}, ""),
        ({"a": 1203.0, "b": 0.0, REDIS: 1203.0}, "clock: 1,203 s ahead of the balancers and Redis"),
        ({"a": 1203.0, "b": 0.0, REDIS: 0.1}, ""),
    ],
)
def test_a_clock_is_wrong_when_more_say_so_than_say_that_it_is_right(said: dict[str, float], reason: str) -> None:
    """One that disagrees with the others is itself the one that is wrong."""
    found = ready()
    for source, ahead_s in said.items():
        found.compared(source, ahead_s, NOW)
    assert told(found.reasons(NOW)) == reason


def test_a_delayed_timestamp_does_not_mean_a_wrong_clock() -> None:
    """A suspended process reads old timestamps; one that is on time outweighs them. Old ones are forgotten."""
    found = ready()
    found.compared("a", 90.0, NOW)
    assert found.reasons(NOW)
    found.compared("a", 0.1, NOW)
    found.compared("a", 90.0, NOW + 1)
    assert found.reasons(NOW + 1) == {}
    found.answered(NOW + 2 * COMPARED_S)
    found.compared("b", -90.0, NOW + 2 * COMPARED_S)
    assert told(found.reasons(NOW + 2 * COMPARED_S)) == "clock: 90 s behind the balancers"
    found.answered(NOW + 4 * COMPARED_S)
    assert found.reasons(NOW + 4 * COMPARED_S) == {}


@pytest.mark.parametrize(("forgotten", "is_ready"), [("wrong-0", True), ("right-0", False)])
def test_sources_are_bounded(forgotten: str, is_ready: bool) -> None:  # noqa: FBT001
    """Of so many sources half contradict the node's clock, which is not enough; one more is enough.

    A new source takes the place of the one that was not heard for longest.
    """
    found = ready()
    half = SOURCES_MAX // 2
    names = [f"{kind}-{number}" for kind in ("right", "wrong") for number in range(half)]
    names.sort(key=lambda name: name != forgotten)
    for number, name in enumerate(names):
        found.compared(name, 90.0 * name.startswith("wrong"), NOW + number / 1000)
    assert found.reasons(NOW + 1) == {}
    found.compared("wrong-new", 90.0, NOW + 1)

    assert (found.reasons(NOW + 1) == {}) is is_ready


def test_timestamps_of_a_source_are_bounded() -> None:
    """The last sixteen count: one on time among them is enough."""
    found = ready()
    found.compared("a", 0.0, NOW)
    for _ in range(15):
        found.compared("a", 90.0, NOW)
    assert found.reasons(NOW) == {}
    found.compared("a", 90.0, NOW)

    assert told(found.reasons(NOW)) == "clock: 90 s ahead of the balancers"


def test_a_disk_without_room_for_an_upload_is_a_reason() -> None:
    """To the byte; several reasons stand on one line."""
    found = ready()
    found.free(20 * 1024 * 1024)
    assert found.reasons(NOW) == {}
    found.free(20 * 1024 * 1024 - 1)
    assert list(found.reasons(NOW)) == ["disk"]
    found.free(0)
    assert (
        told(found.reasons(NOW + 5)) == "store: no answer for 5 s; disk: 0.0 MiB are free, an upload may take 20.0 MiB"
    )
