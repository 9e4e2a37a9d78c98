"""bench.peers.go: a program is built once, of the version that is named."""

from pathlib import Path

import pytest

from bench.peers import backing, go
from bench.peers.started import StartError

MODULE = "example.org/v2"


def compiler(folder: Path, script: str) -> None:
    """A `go` that does this instead of building."""
    file = folder / "go"
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)


def test_it_is_built_once_from_the_named_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second call starts no compiler."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(backing, "TOOLS", tmp_path / "tools")
    compiler(tmp_path, 'cp go.mod "$5"; echo "$6" >> "$5"')

    path = go.built("peer", MODULE, "v2.1.0", f"{MODULE}/cmd/peer")
    assert Path(path) == tmp_path / "tools" / "peer"
    assert Path(path).read_text().endswith(f"require {MODULE} v2.1.0\n{MODULE}/cmd/peer\n")
    compiler(tmp_path, "exit 1")
    assert go.built("peer", MODULE, "v2.1.0", f"{MODULE}/cmd/peer") == path


def test_a_failed_build_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As without a module proxy."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(backing, "TOOLS", tmp_path / "tools")
    compiler(tmp_path, "exit 1")

    with pytest.raises(StartError, match=r"peer could not be built .*proxy"):
        go.built("peer", MODULE, "v2.1.0", MODULE)
