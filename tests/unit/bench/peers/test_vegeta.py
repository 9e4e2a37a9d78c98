"""bench.peers.vegeta: the request that it is given."""

from pathlib import Path

import pytest

from bench.peers import backing, vegeta


def test_the_command_sends_one_body_at_a_rate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each on a connection of its own."""
    monkeypatch.setattr(backing, "TOOLS", tmp_path)
    (tmp_path / "vegeta").touch()
    words = vegeta.command(tmp_path, "http://127.0.0.1:9/p", b"body", 7, 3)

    assert words[0] == str(tmp_path / "vegeta")
    assert {"-keepalive=false", "-rate=7", "-duration=3s"} <= set(words)
    assert (tmp_path / "body").read_bytes() == b"body"
    assert (tmp_path / "targets").read_text().startswith("POST http://127.0.0.1:9/p\n")
