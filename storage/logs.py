"""Log lines as JSON, one object a line, bounded in length and in lines a second, without tokens; or text for people.

Fields: `at` (RFC 3339, UTC), `level`, `program`, `pid`, `log` (the logger), `text`, and where there is one `error` (the
end of the traceback), `request` and `post`. More fields come from the `fields` of a call's `extra`. User ids are in no
log call; token-like text is replaced in every line, also of libraries. `lb/logs.py` and `storage/logs.py` are the same
text, because neither package imports the other.
"""

import argparse
import contextlib
import fcntl
import functools
import logging
import os
import re
import socket
import stat
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final, TextIO

import msgspec

FORMS: Final = ("json", "text")
TEXT: Final = "%(asctime)s %(levelname)s %(process)d %(name)s: %(message)s"
TEXT_CHARS_MAX: Final = 4096
# Of a traceback the end tells most.
ERROR_CHARS_MAX: Final = 8192
# A program writes a few lines a minute. This bounds what a fault in a burst writes: 200 lines of a KiB are 12 MiB a
# minute.
LINES_S_MAX: Final = 200
# Room for a reader that comes late; what Linux gives to a process without rights.
PIPE_BYTES: Final = 1024 * 1024
_TOKEN: Final = re.compile(r"eyJ[\w-]{8,}\.[\w-]+\.[\w-]*|(?<=[Bb]earer )[\w.~+/=-]{8,}")
# All but tab and line feed.
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_POST: Final = re.compile(r"(?<![a-z2-7])[a-z2-7]{25}[aeimquy4]-[a-z0-9]+(?:-[a-z0-9]+)+")


def add_option(parser: argparse.ArgumentParser) -> None:
    """Add `--log` to a command line."""
    parser.add_argument(
        "--log", choices=FORMS, default="json", help="log lines: JSON, or text for people (%(default)s)"
    )


def set_up(program: str, form: str, stream: TextIO | None = None) -> None:
    """Send all log lines of this process to standard error, or to `stream`, in this form."""
    handler = Lines(sys.stderr if stream is None else stream)
    handler.setFormatter(Scrubbed(TEXT) if form == "text" else JsonLine(program))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)


def scrubbed(text: str) -> str:
    """The text without what looks like a token, and with what UTF-8 cannot encode as escapes."""
    return _TOKEN.sub("[token]", text).encode("utf-8", "backslashreplace").decode()


class Scrubbed(logging.Formatter):
    """Text without tokens, and without what forges a line or moves a terminal's cursor."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, with its traceback."""
        return _CONTROL.sub(_escape, scrubbed(super().format(record)))

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the library's name
        """The line without its traceback, as one line."""
        record.message = record.message[:TEXT_CHARS_MAX].replace("\n", "\\n")
        return super().formatMessage(record)


def _escape(found: re.Match[str]) -> str:
    return f"\\x{ord(found[0]):02x}"


class JsonLine(logging.Formatter):
    """One JSON object for each record."""

    def __init__(self, program: str) -> None:
        super().__init__()
        self._program = program

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        text = scrubbed(record.getMessage()[:TEXT_CHARS_MAX])
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")[:23] + "Z"
        line: dict[str, Any] = {
            "at": at,
            "level": record.levelname.lower(),
            "program": self._program,
            "pid": record.process,
            "log": record.name,
            "text": text,
        }
        if request := getattr(record, "request", None):
            line["request"] = request
        if found := _POST.search(text):
            line["post"] = found[0]
        if record.exc_info:
            line["error"] = scrubbed(self.formatException(record.exc_info))[-ERROR_CHARS_MAX:]
        line.update(getattr(record, "fields", {}))
        return msgspec.json.encode(line, enc_hook=str).decode()


class Outlet:
    """A stream for whole lines that never waits: a line that a pipe or socket has no room for is dropped and counted.

    Otherwise a collector of logs that hangs would stop the program. Files and terminals are written as they are.
    """

    def __init__(self, stream: TextIO) -> None:
        self.dropped = 0
        self._stream = stream
        self._rest = b""  # of a line that was written in part
        self._write: Callable[[bytes], int] | None = None
        self._close: Callable[[], None] = lambda: None
        with contextlib.suppress(OSError, ValueError):  # no file, or one that must not be opened anew
            number = stream.fileno()
            mode = os.fstat(number).st_mode
            if stat.S_ISFIFO(mode):  # a description of our own: the other one may be shared with other programs
                ours = os.open(f"/dev/fd/{number}", os.O_WRONLY | os.O_NONBLOCK)
                self._write, self._close = functools.partial(os.write, ours), functools.partial(os.close, ours)
                if hasattr(fcntl, "F_SETPIPE_SZ"):  # not on macOS
                    fcntl.fcntl(ours, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
            elif stat.S_ISSOCK(mode):
                connection = socket.socket(fileno=os.dup(number))
                self._write, self._close = functools.partial(_send, connection), connection.close

    def write(self, line: str) -> None:
        """Write or drop a line."""
        if self._write is None:
            self._stream.write(line)
            return
        data = self._rest + line.encode()
        try:
            done = self._write(data)
        except BlockingIOError:
            done = 0
        if done < len(self._rest) or not done:
            self._rest = self._rest[done:]
            self.dropped += 1
        else:
            self._rest = data[done:]

    def flush(self) -> None:
        """Write what the stream holds back."""
        if self._write is None:
            self._stream.flush()

    def close(self) -> None:
        """Close what was opened here, not the stream."""
        self._write = None
        self._close()


def _send(connection: socket.socket, data: bytes) -> int:
    return connection.send(data, socket.MSG_DONTWAIT)


class Lines(logging.StreamHandler[Outlet]):
    """Writes at most `LINES_S_MAX` lines a second, and says how many it left out."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(Outlet(stream))
        self._clock = clock
        self._second = self._written = self._left_out = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Write the line, unless this second has had its share, or nobody reads."""
        second = int(self._clock())
        if second != self._second:
            self._second, self._written = second, 0
            if self._left_out:
                args = (self._left_out, LINES_S_MAX)
                told = "%d log lines dropped: more than %d lines per second, or nobody reads the log"
                if self._put(logging.LogRecord(record.name, logging.WARNING, "", 0, told, args, None)):
                    self._left_out = 0
                self._written = 0
        if self._written >= LINES_S_MAX or not self._put(record):
            self._left_out += 1

    def close(self) -> None:
        """Write no more lines."""
        super().close()
        self.stream.close()

    def _put(self, record: logging.LogRecord) -> bool:
        """Whether the line was written."""
        dropped = self.stream.dropped
        self._written += 1
        super().emit(record)
        return self.stream.dropped == dropped
