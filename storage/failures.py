"""Logs why calls to the object store fail: each kind of failure at most once a second, with the number left out.

A client learns only that the store does not answer; the cause is for ops. A kind is the call, the status and the
store's error code, or the system's error: neither keys of objects (they show posts) nor the text of an answer, which
may repeat a signature. All tiers use it, because it stands where the errors of a store are translated.
"""

import logging
import re
import time
from collections.abc import Callable
from typing import Final

log = logging.getLogger("snapsurge.storage")

EVERY_S: Final = 1.0
KINDS_MAX: Final = 64  # a store that invents codes must not fill the memory
_ODD: Final = re.compile(r"[^\w .,:()\[\]'/*-]")
KIND_CHARS_MAX: Final = 160


class Failures:
    """The failures of one store; `clock` is monotonic, in seconds."""

    def __init__(self, store: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._logged: dict[str, float] = {}
        self._left_out: dict[str, int] = {}

    def failed(self, kind: str, remedy: str) -> None:
        """A call failed; `remedy` says what a person should do."""
        kind = _ODD.sub("?", kind)[:KIND_CHARS_MAX]
        now = self._clock()
        if now - self._logged.get(kind, float("-inf")) < EVERY_S:
            self._left_out[kind] = self._left_out.get(kind, 0) + 1
            return
        self._logged.pop(kind, None)
        self._logged[kind] = now
        if len(self._logged) > KINDS_MAX:
            oldest = next(iter(self._logged))
            del self._logged[oldest]
            self._left_out.pop(oldest, None)
        before = self._left_out.pop(kind, 0)
        more = f" ({before} more since the last line)" if before else ""
        text = "store %s failed: %s%s; uploads are answered 503 and jobs are retried. What to do: %s"
        log.warning(text, self._store, kind, more, remedy)
