"""lb.members: options, heartbeats, holding, the snapshot."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lb.config import Config
from lb.members import Beat, Known, Membership, merge, parse_beats, parse_option, read_snapshot, write_snapshot
from lb.nodes import Member

UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # no test asserts a duration

A, B = Member(id="a", address="h:1"), Member(id="b", address="h:2")


def test_options_are_id_and_address() -> None:
    """`--node a=h:1`, IPv6 in brackets too."""
    assert parse_option("a=h:1") == A
    assert parse_option("x=[::1]:9").address == "[::1]:9"


@pytest.mark.parametrize("option", ["a", "=h:1", "a=", "a=h", "a=h:x", "a=:1", "a=h:0", "a=h:65536"])
def test_bad_options_are_refused(option: str) -> None:
    """The error repeats what was given."""
    with pytest.raises(ValueError, match=r"host:port|ID=HOST:PORT"):
        parse_option(option)


def test_unreadable_entries_harm_nobody_else() -> None:
    """A node that writes nonsense is left out; a missing beat is very old."""
    entries = {
        b"a": b'{"address":"h:1","weight":500,"more":1}',
        b"b": b"{",
        b"c": b'{"address":"nowhere"}',
        b"d": b'{"address":"h:2","state":"draining"}',
    }
    found = {beat.member.id: beat for beat in parse_beats(entries, {b"a": 9000.0}, 10_000.0)}

    assert set(found) == {"a", "d"}
    assert (found["a"].age_s, found["a"].member.weight) == (1.0, 100)
    assert (found["d"].age_s, found["d"].member.state) == (10.0, "draining")


@pytest.mark.parametrize(
    ("beats", "now", "members"),
    [
        ([Beat(A, 0.5), Beat(B, 0.5)], 100.0, "ab"),
        ([Beat(A, 0.5)], 5.0, "ab"),
        ([Beat(A, 0.5)], 11.0, "a"),
        ([Beat(A, 0.5), Beat(B, 30.0)], 5.0, "ab"),
        ([Beat(A, 0.5), Beat(B, 30.0)], 11.0, "a"),
        ([Beat(A, 30.0), Beat(B, 30.0)], 1000.0, "ab"),
        ([], 1000.0, "ab"),
    ],
)
def test_silence_removes_a_node_but_never_all(beats: list[Beat], now: float, members: str) -> None:
    """Who is silent for ten seconds while others beat is gone; while nobody beats, everybody stays."""
    known = {"a": Known(A, 0.0), "b": Known(B, 0.0)}

    assert "".join(sorted(merge(known, beats, now=now, gone_s=10.0))) == members


@UNHURRIED
@given(st.binary(max_size=60))
def test_any_value_is_survived(raw: bytes) -> None:
    """Whatever stands in the hash, looking at it does not fail."""
    assert len(parse_beats({raw: raw}, {}, 0.0)) <= 1


def test_the_snapshot_survives_and_a_broken_one_is_none(tmp_path: Path) -> None:
    """What is written is read; no file, no path and nonsense give no members; a bad directory is only logged."""
    path = tmp_path / "members.json"
    assert read_snapshot(str(path)) == read_snapshot("") == []
    write_snapshot(str(path), [A, B])
    assert read_snapshot(str(path)) == [A, B]
    assert list(tmp_path.iterdir()) == [path]
    path.write_text('[{"id":"a","address":"nowhere"}]')
    assert read_snapshot(str(path)) == []
    write_snapshot(str(tmp_path / "none" / "members.json"), [A])


async def test_a_balancer_starts_from_the_snapshot(stage, tmp_path: Path) -> None:  # noqa: ANN001 - the stage fixture
    """With Redis configured the last members are there before the first look, static ones too and first."""
    path = tmp_path / "members.json"
    write_snapshot(str(path), [A, B])
    config = Config(redis_url="redis://127.0.0.1:1", snapshot=str(path))
    Membership(config, stage.fleet, [Member(id="b", address="h:9"), Member(id="c", address="h:3")])

    assert {name: node.member.address for name, node in stage.fleet.nodes.items()} == {
        "a": "h:1",
        "b": "h:9",
        "c": "h:3",
    }
