"""A real node and phones whose connections break: each version, each boundary, many who hold, a node that stops."""

import asyncio
import signal
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.e2e.lone_node import MIB, PATIENCE_S, LoneNode, lone_node, pair, token
from tests.ports import free_port
from tests.resumable import VERSIONS, Peer

pytestmark = pytest.mark.e2e


@pytest.fixture
def node(tmp_path: Path, redis_url: str) -> Iterator[LoneNode]:
    """One with the settings of every day, but for uploads a user."""
    with lone_node(tmp_path, redis_url, free_port(), user_uploads_burst=10_000) as made:
        yield made


def peer(node: LoneNode, user: str, version: str = "8") -> Peer:
    """A phone."""
    return Peer(node.port, token(user), version)


def stored(node: LoneNode, moment: str) -> list[dict[str, bytes]]:
    """The photos of each stored pair."""
    found = []
    for path in sorted(node.store.glob(f"*/intake/{moment}/*.zip")):
        with zipfile.ZipFile(path) as archive:
            found.append({name: archive.read(name) for name in archive.namelist() if name != "receipt.json"})
    return found


def photo_of(body: bytes) -> bytes:
    """The photo that `pair` puts into both parts."""
    return body.split(b"\r\n\r\n", 1)[1].split(b"\r\n--x\r\n", 1)[0]


def gauge(node: LoneNode, name: str) -> float:
    """A value of the node's metrics."""
    lines = node.get("/metrics").decode().splitlines()
    return next(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(f"snapsurge_ingest_{name} "))


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_pair_of_usual_size_is_broken_twice_and_is_whole(node: LoneNode, version: str) -> None:
    """What the kernel had of the broken connection counts; the photos are those that were sent."""
    body, phone = pair(700_000), peer(node, "u", version)
    moment = node.moment()
    location = await phone.broken(moment, body, 300_001)
    assert (await phone.offset(location)).fields["upload-offset"] == "300001"
    await phone.broken_patch(location, 300_001, body, 655_360)
    assert (await phone.offset(location)).fields["upload-offset"] == "655360"
    done = await phone.ask(phone.patch(location, 655_360, len(body) - 655_360), body[655_360:])
    assert done.status == 201
    assert stored(node, moment) == [{"front.jpg": photo_of(body), "back.jpg": photo_of(body)}]


async def test_a_break_anywhere_at_a_boundary(node: LoneNode) -> None:
    """Before, in and behind each boundary and head, byte by byte."""
    body, moment = pair(20_000), node.moment()
    marks = [at for at in range(len(body)) if body.startswith((b"--x", b"\r\n\r\n"), at)]
    cuts = sorted({cut for mark in marks for cut in range(mark - 6, mark + 10) if 0 < cut <= len(body)})
    assert len(cuts) > 60
    for cut in cuts:
        phone = peer(node, f"user-{cut}")
        location = await phone.broken(moment, body, cut)
        told = await phone.offset(location)
        if told.fields["upload-complete"] == "?1":  # all of it had come
            assert cut == len(body)
            continue
        assert told.fields["upload-offset"] == str(cut)
        assert (await phone.ask(phone.patch(location, cut, len(body) - cut), body[cut:])).status == 201
    photo = photo_of(body)
    assert stored(node, moment) == [{"front.jpg": photo, "back.jpg": photo}] * len(cuts)


async def test_users_who_park_and_hold_keep_nobody_out(tmp_path: Path, redis_url: str) -> None:
    """Their bytes are bounded, and the first to go; honest phones beside them are all accepted."""
    settings = {"in_flight_bytes_max": 48 * MIB, "parked_bytes_max": 8 * MIB}
    body = pair(600_000)
    with lone_node(tmp_path, redis_url, free_port(), **settings) as node:
        moment = node.moment()
        for number in range(60):
            await peer(node, f"holder-{number}").broken(moment, body, 500_000)
        assert 0 < gauge(node, "parked_bytes") <= 8 * MIB
        assert gauge(node, "parked_uploads") == 8 * MIB // 500_000
        async with asyncio.TaskGroup() as group:
            phones = [
                group.create_task(node.phone(moment, f"honest-{number}", body, send_s=0.2, until=1e12))
                for number in range(100)
            ]
        assert [one.result() for one in phones] == [201] * 100
        assert node.resident() < 320 * MIB


async def test_a_node_that_stops_finishes_what_comes_back(node: LoneNode) -> None:
    """SIGTERM: the parked upload is completed meanwhile, and the node exits with 0 as soon as it is."""
    body, phone, moment = pair(200_000), peer(node, "u"), node.moment()
    location = await phone.broken(moment, body, 100_000)
    node.process.send_signal(signal.SIGTERM)
    done = await phone.ask(phone.patch(location, 100_000, len(body) - 100_000), body[100_000:])
    assert done.status == 201
    assert await asyncio.to_thread(node.process.wait, PATIENCE_S) == 0
    assert "parked uploads" not in node.log.read_text()


async def test_a_node_that_stops_lets_go_in_the_end(tmp_path: Path, redis_url: str) -> None:
    """Nobody comes back: after its time to drain it exits with 0, and says what was lost."""
    with lone_node(tmp_path, redis_url, free_port(), drain_s=1) as node:
        await peer(node, "u").broken(node.moment(), pair(200_000), 100_000)
        node.process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(node.process.wait, PATIENCE_S) == 0
        assert "1 parked uploads with 100000 bytes end" in node.log.read_text()


async def test_what_a_killed_node_had_is_not_found(tmp_path: Path, redis_url: str) -> None:
    """404 at the next one, and the phone begins anew: one post."""
    body, answers = pair(200_000), list[Any]()
    with lone_node(tmp_path, redis_url, free_port()) as node:
        moment = node.moment()
        location = await peer(node, "u").broken(moment, body, 100_000)
    with lone_node(tmp_path, redis_url, free_port()) as node:
        phone = peer(node, "u")
        answers += [await phone.offset(location), await phone.ask(phone.patch(location, 100_000, 0))]
        assert [one.status for one in answers] == [404, 404]
        assert msgspec.json.decode(answers[1].body)["code"] == "no-such-upload"
        assert (await phone.ask(phone.creation(moment, len(body)), body)).status == 201
        assert len(stored(node, moment)) == 1


async def test_progress_is_told_on_a_slow_uplink(node: LoneNode) -> None:
    """Offsets grow, come at most once a second, and none is ahead of what was sent."""
    body, phone, moment = pair(1_500_000), peer(node, "u"), node.moment()
    async with await phone.connect() as connection:
        connection.send(phone.creation(moment, len(body)))
        for start in range(0, len(body), 100_000):
            connection.send(body[start : start + 100_000])
            await asyncio.sleep(0.2)
        done = await connection.answer()
    offsets = [int(one.fields["upload-offset"]) for one in done.interim[1:]]
    assert done.status == 201
    assert 1 <= len(offsets) <= len(body) // (256 * 1024)
    assert offsets == sorted(set(offsets))
    assert offsets[-1] <= len(body)
