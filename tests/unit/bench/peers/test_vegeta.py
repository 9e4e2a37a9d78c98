"""bench.peers.vegeta: the request that it is given, and what is said where it is missing."""

from pathlib import Path

import pytest

from bench.peers import vegeta
from bench.peers.started import StartError


def executable(folder: Path) -> Path:
    """Something of that name."""
    file = folder / "vegeta"
    file.write_text("#!/bin/sh\n")
    file.chmod(0o755)
    return file


def test_the_command_sends_one_body_at_a_rate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each on a connection of its own."""
    file = executable(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    words = vegeta.command(tmp_path, "http://127.0.0.1:9/p", b"body", 7, 3)

    assert words[0] == str(file)
    assert {"-keepalive=false", "-rate=7", "-duration=3s"} <= set(words)
    assert (tmp_path / "body").read_bytes() == b"body"
    assert (tmp_path / "targets").read_text().startswith("POST http://127.0.0.1:9/p\n")


def test_without_it_one_is_told_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither on PATH nor among our tools."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(vegeta, "ROOT", tmp_path)

    with pytest.raises(StartError, match=r"go install github\.com/tsenart/vegeta"):
        vegeta.program()
