"""A Redis that fails over: who is in it, how each is configured, and its address."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.ports import Ports
from deploy.redis_group import QUORUM, SENTINELS, Member, address, group
from storage.redis_address import read


@pytest.fixture
def members(tmp_path: Path) -> Iterator[tuple[Member, ...]]:
    """On free ports, in a folder with a space."""
    with Ports() as ports:
        yield group(ports.free, tmp_path / "a folder")


def test_a_group_is_a_primary_a_replica_and_three_sentinels(members: tuple[Member, ...]) -> None:
    """In the order of their start; a majority must find the primary down."""
    names = ["redis-1", "redis-2", "sentinel-1", "sentinel-2", "sentinel-3"]
    assert [one.name for one in members] == names
    assert [one.follows for one in members] == [False, True, False, False, False]
    assert [one.watches for one in members] == [False, False, True, True, True]
    assert 2 * QUORUM > SENTINELS == sum(one.watches for one in members)
    assert f"replicaof 127.0.0.1 {members[0].port}\n" in members[1].text
    for one in members[2:]:
        assert f"sentinel monitor snapsurge 127.0.0.1 {members[0].port} {QUORUM}\n" in one.text
        assert one.command[-1] == "--sentinel"


def test_every_member_has_its_own_file_and_folder(members: tuple[Member, ...]) -> None:
    """Redis writes its roles there, so a restart keeps them; a new stack begins with the old text."""
    for one in members:
        one.configure()
        assert one.file.read_text() == one.text
        assert one.command[1] == str(one.file)
        assert f'dir "{one.file.parent}"\n' in one.text
        assert "bind 127.0.0.1\n" in one.text
    assert len({one.file for one in members}) == len({one.port for one in members}) == len(members)


def test_every_program_reads_the_address(members: tuple[Member, ...]) -> None:
    """The three Sentinels, and the primary by the name that they have."""
    found = read(address(members))

    assert [one["port"] for one in found.sentinels] == [one.port for one in members[2:]]
    assert found.primary == "snapsurge"
