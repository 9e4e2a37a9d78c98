"""Log lines: JSON with ids, bounded, without tokens; text for people."""

import contextlib
import fcntl
import io
import json
import logging
import os
import socket
from collections.abc import Iterator
from typing import Any

import jwt
import pytest

from storage.logs import ERROR_CHARS_MAX, LINES_S_MAX, TEXT_CHARS_MAX, JsonLine, Lines, set_up

POST = "abcdefghijklmnopqrstuvwxyy-eu-west-20260101-aaaaaaaa"
TOKEN = jwt.encode({"sub": "alice", "scope": "upload"}, "s" * 32, "HS256")


@pytest.fixture
def out() -> Iterator[io.StringIO]:
    """What the root logger writes, put back afterwards."""
    root, stream = logging.getLogger(), io.StringIO()
    before = root.handlers[:], root.level
    yield stream
    root.handlers[:], root.level = before[0], before[1]


def fail(text: str) -> None:
    """An error with a traceback."""
    raise ValueError(text)


def read(out: io.StringIO) -> list[dict[str, Any]]:
    """The lines."""
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_a_line_is_an_object_with_its_ids(out: io.StringIO) -> None:
    """The post id from the text, the request id from the call, and what else the call says."""
    set_up("node", "json", out)
    log = logging.getLogger("snapsurge.test")
    log.warning("post %s waits", POST, extra={"request": "r1", "fields": {"n": [1]}})
    log.info("no ids, \u00fc\nand two lines")

    first, second = read(out)
    assert (first["level"], first["program"], first["log"]) == ("warning", "node", "snapsurge.test")
    assert (first["post"], first["request"], first["n"], first["text"]) == (POST, "r1", [1], f"post {POST} waits")
    assert first["at"].endswith("Z")
    assert len(first["at"]) == 24
    assert (second["text"], "post" in second, "request" in second) == ("no ids, \u00fc\nand two lines", False, False)


@pytest.mark.parametrize("form", ["json", "text"])
def test_no_line_has_a_token(out: io.StringIO, form: str) -> None:
    """Neither in its text nor in a traceback, in whatever form it was sent."""
    set_up("node", form, out)
    try:
        fail(f"bad head: Authorization: Bearer {TOKEN}")
    except ValueError:
        logging.getLogger("x").exception("token %s, Bearer abcdefgh12345678", TOKEN)

    assert "[token]" in out.getvalue()
    assert not [part for part in (*TOKEN.split("."), "abcdefgh12345678") if part in out.getvalue()]


def test_a_line_is_bounded(out: io.StringIO) -> None:
    """As long as the limit is whole, one character more is cut; of a traceback the end stays."""
    set_up("node", "json", out)
    for size in (TEXT_CHARS_MAX, TEXT_CHARS_MAX + 1):
        logging.getLogger("x").info("y" * size)
    try:
        fail("z" * ERROR_CHARS_MAX + "end")
    except ValueError:
        logging.getLogger("x").exception("why")

    whole, cut, failed = read(out)
    assert (len(whole["text"]), len(cut["text"])) == (TEXT_CHARS_MAX, TEXT_CHARS_MAX)
    assert (len(failed["error"]), failed["error"].endswith("end")) == (ERROR_CHARS_MAX, True)


def test_lines_a_second_are_bounded() -> None:
    """As many as the limit; what is beyond is counted in the next second's first line."""
    out, now = io.StringIO(), [0.0]
    handler = Lines(out, lambda: now[0])
    handler.setFormatter(JsonLine("node"))

    def write(count: int) -> None:
        for _ in range(count):
            handler.emit(logging.LogRecord("x", logging.INFO, "", 0, "line", None, None))

    write(LINES_S_MAX)
    now[0] = 1.0
    write(LINES_S_MAX + 3)
    now[0] = 2.0
    write(1)

    lines = read(out)
    assert len(lines) == 2 * LINES_S_MAX + 2
    assert [line["text"] for line in lines if line["text"] != "line"] == [
        f"3 log lines dropped: more than {LINES_S_MAX} lines per second, or nobody reads the log"
    ]


@pytest.mark.parametrize("kind", ["pipe", "socket"])
def test_a_reader_that_hangs_does_not_stop_the_program(kind: str) -> None:
    """What it has no room for is dropped and counted, no line is cut, and nobody else's descriptor is changed."""
    now = [0.0]
    with contextlib.ExitStack() as stack:
        if kind == "pipe":
            reading, writing = os.pipe()
        else:
            reading, writing = (end.detach() for end in socket.socketpair())
        source = stack.enter_context(os.fdopen(reading, "rb", buffering=0))
        stream = stack.enter_context(os.fdopen(writing, "w"))
        handler = stack.enter_context(contextlib.closing(Lines(stream, lambda: now[0])))
        handler.setFormatter(JsonLine("node"))
        written = 0
        for second in range(10):
            now[0] = second
            for _ in range(LINES_S_MAX):
                handler.emit(logging.LogRecord("x", logging.INFO, "", 0, "y" * 2_000, None, None))
                written += 1
        blocking = os.get_blocking(writing)
        os.set_blocking(reading, False)
        text = b"".join(iter(lambda: source.read(1 << 20) or b"", b""))
        now[0] = 20.0
        handler.emit(logging.LogRecord("x", logging.INFO, "", 0, "last", None, None))
        text += source.read(1 << 20) or b""

    lines = [json.loads(line)["text"] for line in text.splitlines()]
    told = [line for line in lines if "lines dropped" in line]
    assert lines[-2:] == [told[-1], "last"]
    assert blocking
    assert len(lines) - len(told) - 1 + sum(int(line.split()[0]) for line in told) == written


def test_a_system_whose_pipes_keep_their_size_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """MacOS."""
    monkeypatch.delattr(fcntl, "F_SETPIPE_SZ", raising=False)
    reading, writing = os.pipe()
    with os.fdopen(reading) as source:
        with os.fdopen(writing, "w") as stream, contextlib.closing(Lines(stream)) as handler:
            handler.emit(logging.LogRecord("x", logging.INFO, "", 0, "line", None, None))
        assert source.read() == "line\n"


def test_people_get_text(out: io.StringIO) -> None:
    """One line that begins with the time."""
    set_up("node", "text", out)
    logging.getLogger("x").info("serving")

    assert out.getvalue().endswith(" x: serving\n")


def test_bytes_that_are_no_text_lose_no_line(out: io.StringIO, capsys: pytest.CaptureFixture[str]) -> None:
    """As aiohttp decodes fields: a lone surrogate cannot be encoded."""
    set_up("node", "json", out)
    try:
        fail("\udc81")
    except ValueError:
        logging.getLogger("x").exception("field \udc80")

    (line,) = read(out)
    assert line["text"] == "field \\udc80"
    assert line["error"].endswith("\\udc81")
    assert capsys.readouterr().err == ""


def test_text_is_one_line_and_moves_no_cursor(out: io.StringIO) -> None:
    """A traceback has its lines; a text is as long as the limit at most."""
    set_up("node", "text", out)
    log = logging.getLogger("x")
    log.info("a\n2026-01-01 ERROR 1 x: forged \x1b[2J \x9b1A \tend")
    try:
        fail("\x1b]0;title\x07")
    except ValueError:
        log.exception("why")
    log.info("y" * (TEXT_CHARS_MAX + 1))

    first, *traceback, last = out.getvalue().splitlines()
    assert first.endswith(r"x: a\n2026-01-01 ERROR 1 x: forged \x1b[2J \x9b1A " + "\tend")
    assert len(traceback) > 3
    assert traceback[-1] == r"ValueError: \x1b]0;title\x07"
    assert last.endswith(" " + "y" * TEXT_CHARS_MAX)
