"""lb.membership.snapshot: what survives a restart."""

from pathlib import Path

from lb.membership.overrides import Overrides
from lb.membership.snapshot import read_members, read_overrides, write_members, write_overrides
from lb.placement.node import Member

A, B = Member(id="a", address="h:1"), Member(id="b", address="h:2")


def test_the_snapshot_survives_and_a_broken_one_is_none(tmp_path: Path) -> None:
    """What is written is read; no file, no path and nonsense give no members; a bad directory is only logged."""
    path = tmp_path / "members.json"
    assert read_members(str(path)) == read_members("") == []
    write_members(str(path), [A, B])
    write_members("", [A, B])
    assert read_members(str(path)) == [A, B]
    assert list(tmp_path.iterdir()) == [path]
    path.write_text('[{"id":"a","address":"nowhere"}]')
    assert read_members(str(path)) == []
    write_members(str(tmp_path / "none" / "members.json"), [A])


def test_the_operators_changes_stand_beside_it(tmp_path: Path) -> None:
    """They are read back whole; nonsense is none."""
    path = tmp_path / "members.json"
    changes = Overrides(added={"a": A}, removed=frozenset({"b"}), drained=frozenset({"a"}), weights={"a": 3})
    assert read_overrides(str(path)) == read_overrides("") == Overrides()
    write_overrides(str(path), changes)
    assert read_overrides(str(path)) == changes
    (tmp_path / "members.json.admin").write_text('{"moved":1}')
    assert read_overrides(str(path)) == Overrides()
