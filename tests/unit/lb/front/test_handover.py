"""lb.front.handover: sockets change hands once the successor says go, and only then."""

import asyncio
import contextlib
import os
import socket
import threading
from pathlib import Path

import pytest

from lb.front.handover import NAMES_BYTES_MAX, SOCKETS_MAX, Donor, inherit, occupied, surplus


def listener() -> socket.socket:
    """A listening socket."""
    return socket.create_server(("127.0.0.1", 0))


def take_and_die(path: str) -> list[int]:
    """Take the descriptors as a successor does, and end without `go`, as a killed process does."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        _, descriptors, _, _ = socket.recv_fds(connection, NAMES_BYTES_MAX, SOCKETS_MAX)
    for descriptor in descriptors:
        os.close(descriptor)
    return descriptors


async def test_the_successor_gets_the_same_sockets(tmp_path: Path) -> None:
    """Names and descriptors arrive; a connection made before is accepted after; `go` tells the old one."""
    path, listening, admin = str(tmp_path / "s"), listener(), listener()
    donor = Donor(path, {"listen": [listening], "admin": [admin]})
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(donor.run())
        while not Path(path).exists():  # noqa: ASYNC110 - the file is the event
            await asyncio.sleep(0)
        assert Path(path).stat().st_mode & 0o777 == 0o600
        inherited = await asyncio.to_thread(inherit, path)
        assert inherited is not None
        with socket.create_connection(listening.getsockname()):
            listening.close()
            connection, _ = inherited.listeners["listen"][0].accept()
            connection.close()
        assert not donor.replaced.is_set()
        assert inherited.at("admin", 0) == inherited.at("admin", admin.getsockname()[1]) == inherited.listeners["admin"]
        assert inherited.at("admin", 1) == []
        inherited.go()
        await donor.replaced.wait()
    assert inherited.listeners["admin"][0].getsockname() == admin.getsockname()
    assert inherit(path) is None
    for sock in (admin, *inherited.listeners["listen"], *inherited.listeners["admin"]):
        sock.close()


async def test_a_successor_that_dies_changes_nothing(tmp_path: Path) -> None:
    """Without its `go` the old process stays, and hands its sockets over again."""
    path, listening = str(tmp_path / "s"), listener()
    donor = Donor(path, {"listen": [listening]})
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(donor.run())
        while not Path(path).exists():  # noqa: ASYNC110 - the file is the event
            await asyncio.sleep(0)
        for _ in range(2):
            assert await asyncio.to_thread(take_and_die, path)
        assert not donor.replaced.is_set()
        running.cancel()
    listening.close()


def test_without_a_predecessor_there_is_nothing_to_take(tmp_path: Path) -> None:
    """No file, a file that nobody listens on."""
    assert inherit(str(tmp_path / "s")) is None
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as left:
        left.bind(str(tmp_path / "s"))
    assert inherit(str(tmp_path / "s")) is None


async def test_whoever_leaves_takes_nothing_from_who_came(tmp_path: Path) -> None:
    """The file is the successor's from the moment it is there, whenever the one before ends and whatever goes wrong."""
    path, listening = str(tmp_path / "s"), listener()
    for _ in range(30):
        async with asyncio.TaskGroup() as tasks:
            before = tasks.create_task(Donor(path, {"listen": [listening]}).run())
            await asyncio.sleep(0)
            after = tasks.create_task(Donor(path, {"listen": [listening]}).run())
            await asyncio.sleep(0)
            before.cancel()
            assert await asyncio.to_thread(take_and_die, path)
            after.cancel()
    listening.close()


async def test_a_file_that_vanishes_stops_nobody_from_listening(tmp_path: Path) -> None:
    """Somebody removes it the moment it is there: that is no reason to die."""
    path, enough = tmp_path / "s", threading.Event()

    def remove() -> None:
        while not enough.is_set():
            path.unlink(missing_ok=True)

    remover = threading.Thread(target=remove)
    remover.start()
    try:
        for _ in range(2000):
            async with asyncio.TaskGroup() as tasks:
                running = tasks.create_task(Donor(str(path), {}).run())
                await asyncio.sleep(0)
                running.cancel()
    finally:
        enough.set()
        remover.join()


async def test_a_successor_that_leaves_changes_nothing(tmp_path: Path) -> None:
    """Told to stop before its `go`: the old process and its socket file stay, and the next one is served."""
    path, listening = str(tmp_path / "s"), listener()
    donor = Donor(path, {"listen": [listening]})
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(donor.run())
        await asyncio.sleep(0)
        files = {path.name: path.stat().st_ino for path in tmp_path.iterdir()}
        for _ in range(2):
            inherited = await asyncio.to_thread(inherit, path)
            assert inherited
            successor = Donor(path, inherited.listeners)
            inherited.leave()
            successor.close()
            inherited.listeners["listen"][0].close()
        assert not donor.replaced.is_set()
        assert {path.name: path.stat().st_ino for path in tmp_path.iterdir()} == files
        running.cancel()
    listening.close()


@pytest.mark.parametrize("kind", ["file", "link", "folder"])
def test_what_is_no_socket_is_not_replaced(tmp_path: Path, kind: str) -> None:
    """A file of somebody's, a link to it, a folder: an error that says so, and all stays as it was."""
    path, file = tmp_path / "s", tmp_path / "file"
    file.write_text("precious")
    if kind == "folder":
        path.mkdir()
    else:
        path.symlink_to(file) if kind == "link" else file.rename(path)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(OSError, match="something that is no socket"):
        Donor(str(path), {})
    assert occupied(str(path))
    assert sorted(tmp_path.iterdir()) == before
    assert kind == "folder" or path.read_text() == "precious"


def test_a_socket_and_nothing_may_be_replaced(tmp_path: Path) -> None:
    """The file of a process that ended is no obstacle."""
    path = str(tmp_path / "s")
    assert not occupied(path)
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as left:
        left.bind(path)
    assert not occupied(path)
    Donor(path, {}).close()


async def test_a_path_that_is_taken_after_the_start_costs_only_the_handover(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The old process has left by then: this one must not die of it, and says what to do."""
    path = tmp_path / "s"
    donor = Donor(str(path), {})
    path.mkdir()
    await donor.run()
    assert "restart this process" in caplog.text
    assert list(tmp_path.iterdir()) == [path]


async def test_the_processes_of_a_larger_group_are_seen(tmp_path: Path) -> None:
    """Those from the new group's size on that listen; asking does not replace them."""
    path = str(tmp_path / "s")
    donors = [Donor(f"{path}.{number}", {}) for number in range(3)]
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(donor.run()) for donor in donors]
        await asyncio.sleep(0)
        assert await asyncio.to_thread(surplus, path, 1, 8) == [1, 2]
        assert await asyncio.to_thread(surplus, path, 3, 8) == []
        assert surplus("", 1, 8) == []
        assert not any(donor.replaced.is_set() for donor in donors)
        for one in running:
            one.cancel()
