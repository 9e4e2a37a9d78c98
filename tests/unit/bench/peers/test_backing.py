"""bench.peers.backing: a real MinIO and a real Redis, ended afterwards."""

import socket
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from bench.peers import backing, started


def answers(url: str) -> bool:
    """Whether somebody listens there."""
    place = urlsplit(url)
    with socket.socket() as probe:
        return probe.connect_ex((place.hostname or "", place.port or 0)) == 0


def test_both_listen_and_are_gone_afterwards(tmp_path: Path) -> None:
    """Addresses answer inside the block only; the pid is MinIO's."""
    try:
        backing.minio_program()
    except started.StartError as error:
        pytest.skip(str(error))
    with backing.backing(tmp_path) as behind:
        assert answers(behind.s3)
        assert answers(behind.redis)
        assert "minio" in psutil.Process(behind.minio_pid).name()
    assert not answers(behind.s3)
    assert not answers(behind.redis)
