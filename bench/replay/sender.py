"""Sends a share of a burst open loop: each arrival at its own time, whatever was answered to earlier ones.

One sender is one generator of load.
"""

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from typing import Final, Literal, Protocol

from ..client import multipart
from ..clock import Clock
from ..outcome import Attempt, Break, Outcome, Upload
from .beats import Arrival, Beat, Ended, Generator
from .check import Sent

PREPARE_S: Final = 0.3  # an arrival is prepared at the latest so long before its time
# Bodies and their digests are made ahead of their times, so that a peak costs only the sending.
AHEAD_BYTES_MAX: Final = 128 * 1024 * 1024


class Photos(Protocol):
    """Where photos come from: `bench.photos.Gallery`."""

    def photo(self, key: str, side: Literal["front", "back"], size: int) -> bytes:
        """The bytes of a photo, unique to this key and side."""
        ...


class Phones(Protocol):
    """Who sends uploads: `bench.client.Client`."""

    async def send(self, upload: Upload, on_attempt: Callable[[Attempt], None]) -> Outcome:
        """Try until the upload has ended; `on_attempt` is called at the end of each try."""
        ...


class Senders(Protocol):
    """All generators of a run: one `Sender`, or the generators of a `Coordinator`."""

    faults: list[str]  # why the run is void

    async def send(self, moment_id: str, fires_at: float) -> None:
        """Send every arrival at its time; return when all uploads have ended, or soon after `interrupt`."""
        ...

    def interrupt(self) -> None:
        """Send no more; cut off the uploads in flight, which are then not counted."""
        ...

    def beats(self) -> list[Beat]:
        """What happened since the last call."""
        ...

    def generators(self) -> list[Generator]:
        """Who sent, in the order of their numbers; lags are left to the caller."""
        ...


class Sender:
    """Sends arrivals with one client. Cut-off uploads are not counted."""

    def __init__(
        self, arrivals: Sequence[Arrival], photos: Photos, client: Phones, clock: Clock, *, obey_uplink: bool
    ) -> None:
        self._arrivals, self._photos, self._client, self._clock = arrivals, photos, client, clock
        self._obey_uplink = obey_uplink
        self._tasks: set[asyncio.Task[None]] = set()
        self._ahead_bytes = 0
        self._interrupted = False
        self._begun = 0
        self._statuses: list[int] = []
        self._ended: list[Ended] = []
        self._waiting: dict[int, float] = {}
        self.faults: list[str] = []

    def interrupt(self) -> None:
        """Send no more; cut off the uploads in flight."""
        self._interrupted = True
        for task in tuple(self._tasks):
            task.cancel()

    def beats(self) -> list[Beat]:
        """What happened since the last call, as one beat."""
        beat = Beat(
            generator=1,
            begun=self._begun,
            statuses=tuple(self._statuses),
            ended=tuple(self._ended),
            waiting=tuple(self._waiting.values()),
        )
        # A beat is the difference to the one before: any number of senders' beats add up to one run.
        self._begun, self._statuses, self._ended = 0, [], []
        return [beat]

    def generators(self) -> list[Generator]:
        """This process as the only generator, with the number of its arrivals."""
        return [Generator(name="this process", offered=len(self._arrivals))]

    async def send(self, moment_id: str, fires_at: float) -> None:
        """Send every arrival at its time; returns when the last upload has ended."""
        async with asyncio.TaskGroup() as group:
            begin = group.create_task(self._begin_all(group, moment_id, fires_at), name="arrivals")
            self._own(begin)

    def _own(self, task: asyncio.Task[None]) -> None:
        """Let an interrupt end this task, also one that came before."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if self._interrupted:
            task.cancel()

    async def _begin_all(self, group: asyncio.TaskGroup, moment_id: str, fires_at: float) -> None:
        """Prepare arrivals in their order: as early as there is room, or when it is time."""
        for arrival in self._arrivals:
            intended = fires_at + arrival.row.t / 1e6
            await self._room_until(intended - PREPARE_S)
            upload, sent = self._prepared(arrival, moment_id, intended)
            self._ahead_bytes += len(upload.body)
            task = group.create_task(self._send(arrival.number, upload, sent), name=f"arrival-{arrival.number}")
            self._own(task)
            # Uploads that are due go before the preparation of the next.
            await asyncio.sleep(0)

    async def _room_until(self, latest: float) -> None:
        """Return when the bodies that wait for their times are few enough, or at `latest`."""
        while self._ahead_bytes > AHEAD_BYTES_MAX and (left_s := latest - self._clock.now()) > 0:
            await self._clock.sleep(min(left_s, PREPARE_S))

    def _prepared(self, arrival: Arrival, moment_id: str, intended: float) -> tuple[Upload, Sent]:
        key, row = str(arrival.number), arrival.row
        front, back = self._photos.photo(key, "front", row.f), self._photos.photo(key, "back", row.b)
        sent = Sent(hashlib.sha256(front).hexdigest(), hashlib.sha256(back).hexdigest())
        upload = Upload(
            moment_id=moment_id,
            user=row.u,
            bearer=arrival.bearer,
            body=multipart(front, back),
            intended=intended,
            pace=row.up if self._obey_uplink else None,
            first_target=arrival.number,
            breaks=tuple(Break(offset, pause_ms / 1000) for offset, pause_ms in row.breaks) if row.d else (),
        )
        return upload, sent

    async def _send(self, number: int, upload: Upload, sent: Sent) -> None:
        try:
            await self._clock.sleep(upload.intended - self._clock.now())
        finally:
            self._ahead_bytes -= len(upload.body)
        self._begun += 1
        self._waiting[number] = upload.intended
        try:
            outcome = await self._client.send(upload, self._note)
            self._ended.append(Ended(outcome, sent))
        finally:
            del self._waiting[number]

    def _note(self, attempt: Attempt) -> None:
        self._statuses.append(attempt.status)
