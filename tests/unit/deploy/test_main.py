"""The command line: help, tokens, and one line for everything that cannot be."""

import socket
import time
from pathlib import Path

import jwt
import pytest

from deploy.__main__ import main
from deploy.config import DEVELOPMENT_SECRET
from deploy.state import claimed
from ingest.auth import USER_ID_CHARS_MAX, Authenticator

COMMANDS = ("up", "demo", "check", "token", "minio")
COMMANDS = ("up", "demo", "watch", "token", "minio")


@pytest.mark.parametrize("words", [(), *((name,) for name in COMMANDS)])
def test_every_command_explains_itself(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    """`--help` names the options; the top one the commands and the settings."""
    with pytest.raises(SystemExit) as ended:
        main([*words, "--help"])

    shown = capsys.readouterr().out
    assert ended.value.code == 0
    assert f"python -m deploy {' '.join(words)}".strip() in shown
    if not words:
        assert all(name in shown for name in (*COMMANDS, "SNAPSURGE_DEPLOY_START_S"))


def test_a_token_is_printed_alone(capsys: pytest.CaptureFixture[str]) -> None:
    """For $(…): stdout holds the token and nothing else."""
    assert main(["token", "--user", "mia", "--scope", "ops", "--ttl", "60"]) == 0

    claims = jwt.decode(capsys.readouterr().out.strip(), DEVELOPMENT_SECRET, algorithms=["HS256"])
    assert (claims["sub"], claims["scope"], claims["exp"] - claims["iat"]) == ("mia", "ops", 60)
    assert abs(claims["iat"] - time.time()) < 60


def test_a_token_is_signed_with_the_environments_secret(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The secret of the running environment, not the development one."""
    monkeypatch.setenv("SNAPSURGE_AUTH_SECRET", "x" * 40)
    assert main(["token", "--user", "mia"]) == 0

    jwt.decode(capsys.readouterr().out.strip(), "x" * 40, algorithms=["HS256"])


def refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line of a command that is refused."""
    assert main(words) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    return shown.err


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--user", ""], "user"),
        (["--user", "a\nb"], "user"),
        (["--user", "x" * 129], "user"),
        (["--user", "mia", "--ttl", "0"], "ttl"),
        (["--user", "mia", "--ttl", "-5"], "ttl"),
    ],
)
def test_a_token_that_no_node_takes_is_not_made(words: list[str], why: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The user ids are those that nodes take, and a token is valid for a second at least."""
    assert why in refused(["token", *words], capsys)


def test_tokens_at_the_limits_are_made(capsys: pytest.CaptureFixture[str]) -> None:
    """128 characters, one second."""
    assert main(["token", "--user", "x" * USER_ID_CHARS_MAX, "--ttl", "1"]) == 0
    Authenticator(DEVELOPMENT_SECRET).principal(f"Bearer {capsys.readouterr().out.strip()}")


def test_a_port_in_use_is_refused_and_nothing_started(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The line names the port; no log means that no program ran."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        shown = refused(["up", "--port", str(port), "--state", str(tmp_path)], capsys)

    assert f"port {port} is taken" in shown
    assert list((tmp_path / "logs").iterdir()) == []


def test_a_state_in_use_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The line names the directory."""
    with claimed(tmp_path, patience_s=0):
        assert str(tmp_path) in refused(["up", "--port", "0", "--state", str(tmp_path)], capsys)


@pytest.mark.parametrize(
    "words",
    [
        ["--nodes", "0"],
        ["--port", "99999"],
        ["--port", "65535", "--balancers", "2"],
        ["--workers-min", "3", "--workers-max", "1"],
        ["--redis", "http://x"],
        ["--store", "floppy"],
    ],
)
def test_impossible_options_are_refused(words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Numbers out of range, contradictions, addresses of no kind that we know."""
    assert refused(["up", "--port", "0", "--state", str(tmp_path), *words], capsys).startswith("deploy: ")


def test_a_misspelt_setting_is_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Whichever program it was meant for."""
    monkeypatch.setenv("SNAPSURGE_WORKERS", "3")

    assert "SNAPSURGE_WORKERS" in refused(["token", "--user", "mia"], capsys)
