"""lb.front.handover: sockets change hands once the successor says go, and only then."""

import asyncio
import contextlib
import os
import socket
import threading
from pathlib import Path

from lb.front.handover import NAMES_BYTES_MAX, SOCKETS_MAX, Donor, inherit, listen_at


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


def test_a_file_that_vanishes_stops_nobody_from_listening(tmp_path: Path) -> None:
    """Somebody removes it the moment it is there: that is no reason to die."""
    path, enough = tmp_path / "s", threading.Event()

    def remove() -> None:
        while not enough.is_set():
            path.unlink(missing_ok=True)

    remover = threading.Thread(target=remove)
    remover.start()
    try:
        for _ in range(2000):
            listen_at(str(path)).close()
    finally:
        enough.set()
        remover.join()
