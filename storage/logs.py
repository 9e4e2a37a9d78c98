"""Log lines as JSON, one object a line, bounded in length and in lines a second, without tokens; or text for people.

Fields: `at` (RFC 3339, UTC), `level`, `program`, `pid`, `log` (the logger), `text`, and where there is one `error` (the
end of the traceback), `request` and `post`. More fields come from the `fields` of a call's `extra`. User ids are in no
log call; token-like text is replaced in every line, also of libraries. `lb/logs.py` and `storage/logs.py` are the same
text, because neither package imports the other.
"""

import argparse
import logging
import re
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


class Lines(logging.StreamHandler[TextIO]):
    """Writes at most `LINES_S_MAX` lines a second, and says how many it left out."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(stream)
        self._clock = clock
        self._second = self._written = self._left_out = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Write the line, unless this second has had its share."""
        second = int(self._clock())
        if second != self._second:
            left_out, self._second, self._written, self._left_out = self._left_out, second, 0, 0
            if left_out:
                args = (left_out, LINES_S_MAX)
                told = "%d log lines dropped: more than %d lines per second; the preceding lines show the cause"
                super().emit(logging.LogRecord(record.name, logging.WARNING, "", 0, told, args, None))
        if self._written < LINES_S_MAX:
            self._written += 1
            super().emit(record)
        else:
            self._left_out += 1
