"""Writes access log and trace: rows are collected in memory and written by a thread twice a second, never on the way.

A file that cannot keep up costs rows, counted and said, not requests. Files are opened to append and again on SIGHUP.
What a row says is decided in `access.py`.
"""

import asyncio
import logging
import os
import secrets

from ..config import Config
from ..relay import access
from ..relay.context import Context

log = logging.getLogger("snapsurge.lb.journal")

FLUSH_S = 0.5
ROWS_MAX = 200_000  # Waiting for a disk that hangs: some 30 MB, ten seconds of a burst at 20,000 requests a second.
STDERR = 2


class File:
    """One file that rows go to."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.rows: list[bytes] = []
        self.dropped = 0
        self._fd = -1
        self.open()

    def open(self) -> None:
        """Open it, or open it again after it was moved away; OSError leaves the old one."""
        fresh = STDERR if self.name == "-" else os.open(self.name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
        self._fd, old = fresh, self._fd
        if old > STDERR:
            os.close(old)

    def add(self, row: bytes) -> None:
        """Keep a row for the next flush."""
        if len(self.rows) < ROWS_MAX:
            self.rows.append(row)
        else:
            self.dropped += 1

    def flush(self) -> None:
        """Write what waits."""
        rows, self.rows = self.rows, []
        data = memoryview(b"".join(rows))
        while data:
            data = data[os.write(self._fd, data) :]


class Journal:
    """Both files, where the settings ask for them; sets `context.note`, which stays None when nobody asks."""

    def __init__(self, config: Config, context: Context) -> None:
        self._access = File(config.access_log) if config.access_log else None
        self._trace = File(config.trace) if config.trace else None
        self._secret = (config.trace_secret.encode() or secrets.token_bytes(32))[:64]
        self._sampler = access.Sampler(config.access_lines_s_max)
        if self._files:
            context.note = self.note

    @property
    def _files(self) -> list[File]:
        return [file for file in (self._access, self._trace) if file]

    def note(self, seen: access.Seen) -> None:
        """A request ended."""
        if self._access and (weight := self._sampler.weight(seen.unix_us / 1e6 + seen.seconds)):
            self._access.add(access.line(seen, weight))
        if self._trace and seen.method in access.UPLOADS:
            self._trace.add(access.row(seen, self._secret))

    def reopen(self) -> None:
        """Write to new files where the old ones were moved away; OSError."""
        for file in self._files:
            file.open()

    async def run(self) -> None:
        """Write twice a second until cancelled."""
        while self._files:
            await asyncio.sleep(FLUSH_S)
            for file in self._files:
                try:
                    await asyncio.to_thread(file.flush)
                except OSError as error:
                    log.warning("%s cannot be written: %s", file.name, error.strerror)
                if file.dropped:
                    log.warning("%s: %d rows dropped, it is too slow", file.name, file.dropped)
                    file.dropped = 0

    def close(self) -> None:
        """Write the rest."""
        for file in self._files:
            try:
                file.flush()
            except OSError as error:
                log.warning("%s cannot be written: %s", file.name, error.strerror)
