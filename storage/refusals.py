"""Classifies errors of Redis, and shortens them for logs, without the command's arguments.

A refusal is an error about the server (a replica, no disk, no memory, no permission, still loading, busy), not about
the command: another connection may reach another server. New error codes may appear, so this file lists the codes about
the command, and every other code is a refusal.
"""

import re

from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    ExecAbortError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
)

REASON_CHARS_MAX = 200

# redis-py removes the code from the text of these errors.
_CODES: dict[type[Exception], str] = {
    AuthenticationError: "NOAUTH",
    BusyLoadingError: "LOADING",
    ExecAbortError: "EXECABORT",
    NoPermissionError: "NOPERM",
    NoScriptError: "NOSCRIPT",
    OutOfMemoryError: "OOM",
    ReadOnlyError: "READONLY",
}
_CODE = re.compile(r"[A-Z]{2,} ")
# Redis 7.0 sends no code when a script lacks a permission.
_SCRIPT_NOPERM = "The user executing the script can't"
# The command, or the data that it found, is wrong: every other server would refuse it too.
_OF_THE_COMMAND = frozenset(
    {"ERR", "WRONGTYPE", "NOSCRIPT", "EXECABORT", "NOPROTO", "CROSSSLOT", "BUSYKEY", "BUSYGROUP", "NOGROUP", "NOTBUSY"}
)
# redis-py prepends the whole command to an error of a pipeline; Redis appends arguments and the script to some.
_PIPELINE = re.compile(r"^Command # .* of pipeline caused error: ", re.DOTALL)
_TRAILERS = re.compile(r",? (with args beginning with|script): .*", re.DOTALL)


def reason(error: BaseException) -> str:
    """The error for a log line: the Redis if known, code or class, the first line of its text; `REASON_CHARS_MAX`."""
    text = _TRAILERS.sub("", _PIPELINE.sub("", str(error))).partition("\n")[0].strip()
    name = type(error).__name__
    if isinstance(error, ResponseError | AuthenticationError | BusyLoadingError):
        name = _code(error)
        text = text.removeprefix(f"{name} ")
    name = ": ".join([*getattr(error, "__notes__", ()), name])  # which Redis it is from (connections.py)
    return f"{name}: {text}"[:REASON_CHARS_MAX] if text else name


def is_refusal(error: BaseException) -> bool:
    """Whether the error is about the server, which would refuse any command."""
    if isinstance(error, AuthenticationError | BusyLoadingError):
        return True
    return isinstance(error, ResponseError) and _code(error) not in _OF_THE_COMMAND


def _code(error: Exception) -> str:
    known = next((code for kind, code in _CODES.items() if isinstance(error, kind)), None)
    text = _PIPELINE.sub("", str(error))
    if text.startswith(_SCRIPT_NOPERM):
        return "NOPERM"
    found = _CODE.match(text)
    return known or (found.group().strip() if found else "ERR")
