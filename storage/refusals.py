"""What a Redis says that answers but refuses, in few words and without what it was asked.

Pure. A refusal speaks of the server (a replica, no disk, no memory, no rights, still loading, busy), not of the
command: another connection may reach another server. Error codes are open-ended, so those that speak of the command are
listed, and every other one is a refusal.
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

# redis-py takes the code off the text of these.
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
# Redis 7.0 gives no code where a script may not do what it does.
_SCRIPT_NOPERM = "The user executing the script can't"
# The command is wrong, or what it found: no other server would take it.
_OF_THE_COMMAND = frozenset(
    {"ERR", "WRONGTYPE", "NOSCRIPT", "EXECABORT", "NOPROTO", "CROSSSLOT", "BUSYKEY", "BUSYGROUP", "NOGROUP", "NOTBUSY"}
)
# redis-py puts the whole command before an error of a pipeline; Redis puts arguments and the script behind some.
_PIPELINE = re.compile(r"^Command # .* of pipeline caused error: ", re.DOTALL)
_TRAILERS = re.compile(r",? (with args beginning with|script): .*", re.DOTALL)


def reason(error: BaseException) -> str:
    """An error for a log line: its code or class and the first line of its text, at most `REASON_CHARS_MAX`."""
    text = _TRAILERS.sub("", _PIPELINE.sub("", str(error))).partition("\n")[0].strip()
    name = type(error).__name__
    if isinstance(error, ResponseError | AuthenticationError | BusyLoadingError):
        name = _code(error)
        text = text.removeprefix(f"{name} ")
    return f"{name}: {text}"[:REASON_CHARS_MAX] if text else name


def is_refusal(error: BaseException) -> bool:
    """Whether the server cannot do its job, whatever it is asked."""
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
