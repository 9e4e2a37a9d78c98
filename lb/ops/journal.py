"""Writes access log and trace: rows are collected in memory, and a thread writes them twice a second.

A file that cannot keep up loses rows, which the log counts, and delays no request. Files are opened to append, and
again on SIGHUP. `access.py` decides what a row contains.
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
    """One file of rows."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.rows: list[bytes] = []
        self.dropped = 0
        self._fd = -1
        self.open()

    def open(self) -> None:
        """Open the file, or open it again after it was moved; OSError leaves the old one open."""
        fresh = STDERR if self.name == "-" else os.open(self.name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
        self._fd, old = fresh, self._fd
        if old > STDERR:
            os.close(old)

    def add(self, row: bytes) -> None:
        """Keep a row for the next flush; drop it when too many wait."""
        if len(self.rows) < ROWS_MAX:
            self.rows.append(row)
        else:
            self.dropped += 1

    def flush(self) -> None:
        """Write the waiting rows."""
        rows, self.rows = self.rows, []
        data = memoryview(b"".join(rows))
        while data:
            data = data[os.write(self._fd, data) :]


class Journal:
    """Access log and trace, where the settings name them; sets `context.note`, which is None when both are off."""

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

    def note(self, record: access.RequestRecord) -> None:
        """Write the rows of a request that has ended."""
        if self._access and (weight := self._sampler.weight(record.unix_us / 1e6 + record.seconds)):
            self._access.add(access.line(record, weight))
        if self._trace and record.method in access.UPLOADS:
            self._trace.add(access.row(record, self._secret))

    def reopen(self) -> None:
        """Open the files again after log rotation moved them; raises OSError."""
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
                    log.warning("cannot write %s, its rows are lost: %s", file.name, error.strerror)
                if file.dropped:
                    log.warning(
                        "writing %s is too slow: %d rows dropped, requests are not delayed; use a faster disk, or "
                        "lower SNAPSURGE_LB_ACCESS_LINES_S_MAX",
                        file.name,
                        file.dropped,
                    )
                    file.dropped = 0

    def close(self) -> None:
        """Write the rows that still wait."""
        for file in self._files:
            try:
                file.flush()
            except OSError as error:
                log.warning("cannot write %s, its rows are lost: %s", file.name, error.strerror)
