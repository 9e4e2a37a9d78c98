"""lb.__main__: options, errors, help."""

import subprocess
import sys
from pathlib import Path

import pytest

from lb.__main__ import main, options, share
from lb.config import Config, rows

NODES = ["--node", "a=127.0.0.1:1", "--node", "b=127.0.0.1:2"]


def test_the_documented_command_line_is_understood() -> None:
    """Every option of the contract."""
    given = [*NODES, "--listen", "127.0.0.1:8080", "--admin", "127.0.0.1:8090", "--hash-on", "header:X-User"]
    chosen = options([*given, "--policy", "ring", "--check", "off"], Config())

    assert (chosen.listen, chosen.admin) == (("127.0.0.1", 8080), ("127.0.0.1", 8090))
    assert [node.id for node in chosen.nodes] == ["a", "b"]
    assert (chosen.hash_on, chosen.policy, chosen.check) == ("header:X-User", "ring", None)
    assert options(NODES, Config()).check == "/readyz"
    assert options(["--admin", "off"], Config(redis_url="redis://h")).admin is None


def test_each_of_several_processes_has_a_handover_socket_of_its_own() -> None:
    """The setting with the process's number; none without the setting."""
    chosen = options([*NODES, "--processes", "2"], Config())

    assert share(Config(handover="run/lb"), chosen, ("127.0.0.1", 1), 1)[0].handover == "run/lb.1"
    assert share(Config(), chosen, ("127.0.0.1", 1), 1)[0].handover == ""


def test_processes_share_the_port_and_have_admin_ports_of_their_own() -> None:
    """P, P+1, ...; 0 and off stay what they are."""
    chosen = options([*NODES, "--admin", "127.0.0.1:8090", "--processes", "2"], Config())
    _, second = share(Config(), chosen, ("127.0.0.1", 4711), 1)

    assert (second.listen, second.admin, second.processes) == (("127.0.0.1", 4711), ("127.0.0.1", 8091), 2)
    for given, kept in (("127.0.0.1:0", ("127.0.0.1", 0)), ("off", None)):
        assert share(Config(), options([*NODES, "--admin", given], Config()), ("127.0.0.1", 1), 1)[1].admin == kept


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--node", "a"],
        [*NODES, "--node", "a=h:3"],
        [*NODES, "--listen", "8080"],
        [*NODES, "--check", "readyz"],
        [*NODES, "--hash-on", "moon"],
        [*NODES, "--hash-reads-on", "path:albums"],
        [*NODES, "--processes", "0"],
    ],
)
def test_wrong_options_are_one_line_and_status_two(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """The line says what to do instead."""
    assert main(arguments) == 2
    assert capsys.readouterr().err.startswith("lb: ")


def test_a_misspelt_setting_stops_the_start(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An unknown SNAPSURGE_LB_ name is status 2 and names itself."""
    monkeypatch.setenv("SNAPSURGE_LB_DRIAN_S", "1")

    assert main(NODES) == 2
    assert "SNAPSURGE_LB_DRIAN_S" in capsys.readouterr().err


def test_help_lists_every_setting(capsys: pytest.CaptureFixture[str]) -> None:
    """Options and the settings table."""
    with pytest.raises(SystemExit) as ended:
        main(["--help"])

    text = capsys.readouterr().out
    assert ended.value.code == 0
    assert all(name in text for name, _, _ in rows())


def test_a_program_that_cannot_go_on_names_the_cause(tmp_path: Path) -> None:
    """One line with the file that is not there, not a word of task groups."""
    words = ["env", f"SNAPSURGE_LB_HANDOVER={tmp_path}/none/s", sys.executable, "-m", "lb", *NODES]
    words += ["--listen", "127.0.0.1:0", "--admin", "off", "--check", "off"]
    ended = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)

    assert ended.returncode == 1
    reason = "cannot listen for the next process: No such file or directory"
    assert f"[Errno 2] {reason}: '{tmp_path}/none/s'" in ended.stderr
    assert "TaskGroup" not in ended.stderr


@pytest.mark.parametrize(("processes", "name"), [("1", "s"), ("2", "s.1")])
def test_a_handover_path_that_is_no_socket_stops_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], processes: str, name: str
) -> None:
    """Status 2, the setting and the file are named, and the file stays as it is."""
    (tmp_path / name).write_text("precious")
    monkeypatch.setenv("SNAPSURGE_LB_HANDOVER", str(tmp_path / "s"))

    assert main([*NODES, "--processes", processes]) == 2
    assert f"SNAPSURGE_LB_HANDOVER: {tmp_path / name} is there and is no socket" in capsys.readouterr().err
    assert (tmp_path / name).read_text() == "precious"
