"""The client of an export must read; how fast it does decides whose turn ends when others wait.

The archive is the same whatever the pieces are of which it is made.
"""

import asyncio
import hashlib
import io
import math
import zipfile
from typing import Any, cast

import msgspec
import pytest

from ingest import exports
from ingest.exports import WRITE_BYTES as PIECE_BYTES
from ingest.exports import Archive, Manifest, Paced
from storage import zips
from storage.users import Contents
from tests.faults.rig import until


class Client:
    """A response whose client takes a piece for each permit."""

    def __init__(self, permits: int) -> None:
        self.permits = asyncio.Semaphore(permits)
        self.taken = 0

    async def write(self, piece: memoryview) -> None:
        """Take a piece."""
        await self.permits.acquire()
        self.taken += len(piece)


async def test_an_export_ends_when_its_client_reads_below_the_minimum_rate() -> None:
    """One that takes a piece now and then does not hold its place for ever; one at the rate is served."""
    slow, fast = Client(3), Client(9)
    with pytest.raises(TimeoutError):
        await Paced(cast("Any", slow), rate_bytes_s=10**9, grace_s=0.05).write(bytes(9 * PIECE_BYTES))
    assert slow.taken == 3 * PIECE_BYTES

    paced = Paced(cast("Any", fast), rate_bytes_s=1, grace_s=0.05)
    await paced.write(bytes(5 * PIECE_BYTES))
    await paced.write(bytes(4 * PIECE_BYTES))
    assert fast.taken == 9 * PIECE_BYTES


async def test_pieces_now_and_then_do_not_buy_more_time_than_their_bytes() -> None:
    """A limit for each piece alone would never end this export."""
    client = Client(0)
    paced = Paced(cast("Any", client), rate_bytes_s=64 * PIECE_BYTES, grace_s=0.1)
    loop = asyncio.get_running_loop()

    def permit() -> None:
        client.permits.release()
        loop.call_later(0.05, permit)

    permit()
    with pytest.raises(TimeoutError):
        await paced.write(bytes(1000 * PIECE_BYTES))
    assert client.taken < 1000 * PIECE_BYTES


async def test_the_pace_of_a_client_is_what_it_takes_now(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not known while the client keeps up; what it took at first, when it was fast, does not count for ever."""
    monkeypatch.setattr(exports, "JUDGED_S", 0.05)
    client = Client(500)
    paced = Paced(cast("Any", client), rate_bytes_s=1, grace_s=60)
    assert paced.pace() == math.inf
    await paced.write(bytes(500 * PIECE_BYTES))

    stalled = asyncio.create_task(paced.write(bytes(3 * PIECE_BYTES)))  # noqa: TID251 - awaited
    for _ in range(2):

        async def slow() -> bool:
            return paced.pace() < 10 * PIECE_BYTES / 0.05

        client.permits.release()
        await until(slow, "the pace is that of a client that stalls")
    client.permits.release()
    await stalled


ENTRIES = {"front.jpg": bytes(range(256)) * 40, "empty": b"", "receipt.json": b"{}" * 50}


def archived(stored: bytes, step: int) -> tuple[zipfile.ZipFile, Manifest]:
    """The archive of this object, added in pieces of `step` bytes, and its manifest."""
    archive = Archive()
    contents = Contents("key", "mark", zips.entries(stored[-zips.TAIL_BYTES :]))
    starts = range(0, contents.end, step)
    sent = b"".join(archive.add("moment", contents, at, stored[at : min(at + step, contents.end)]) for at in starts)
    opened = zipfile.ZipFile(io.BytesIO(sent + archive.end("ann", "2026-01-01T00:00:00.000Z")))
    return opened, msgspec.json.decode(opened.read("manifest.json"), type=Manifest)


@pytest.mark.parametrize("step", [1, 7, 64, 8191, 10**6])
def test_an_archive_is_whole_whatever_its_pieces_are(step: int) -> None:
    """Each file with its bytes and digest, also one that is empty."""
    opened, manifest = archived(b"".join(zips.pack(ENTRIES)), step)

    assert opened.testzip() is None
    assert {name: opened.read(f"moment/{name}") for name in ENTRIES} == ENTRIES
    wanted = {f"moment/{name}": hashlib.sha256(data).hexdigest() for name, data in ENTRIES.items()}
    assert {one.name: one.sha256 for one in manifest.files} == wanted
    assert manifest.unreadable == []


def test_a_file_that_is_damaged_in_the_store_is_told() -> None:
    """It is in the archive, and no file of the manifest; the others are."""
    stored = bytearray(b"".join(zips.pack(ENTRIES)))
    stored[5000] ^= 1

    opened, manifest = archived(bytes(stored), 1000)

    assert opened.testzip() is None
    assert [one.name for one in manifest.files] == ["moment/empty", "moment/receipt.json"]
    assert manifest.unreadable == ["key"]


def test_an_archive_that_is_given_up_leaves_no_error() -> None:
    """Within a file and between files."""
    stored = b"".join(zips.pack(ENTRIES))
    for size in (100, len(stored)):
        archive = Archive()
        archive.add("moment", Contents("key", "mark", zips.entries(stored)), 0, stored[:size])
        archive.give_up()
        archive.give_up()
        del archive
