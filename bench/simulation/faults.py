"""Faults of a simulated burst: what breaks, at which second after the moment, for how long.

`node:3@40` (the fourth node dies in second 40), `zone:0@40+60` (all machines of the first zone, for a minute),
`redis:1@40+20` (a Redis shard), `store@40+30` (the store at a tenth), `scaler@0+60` (the autoscaler decides nothing for
a minute). Without `+…` a fault lasts; without a number the first one is meant.
"""

import re
from typing import Final, Literal, cast

import msgspec

from ..errors import BenchError

Kind = Literal["node", "zone", "redis", "store", "scaler"]
KINDS: Final = ("node", "zone", "redis", "store", "scaler")
STORE_TIMES: Final = 10.0
_TEXT: Final = re.compile(r"([a-z]+)(?::(\d+))?@(\d+(?:\.\d+)?)(?:\+(\d+(?:\.\d+)?))?")


class Fault(msgspec.Struct, frozen=True):
    """What breaks (`number` of its kind), from `at_s` until `until_s`."""

    kind: Kind
    number: int
    at_s: float
    until_s: float


def parsed(text: str) -> Fault:
    """The fault that an option describes; BenchError says what is wrong with it."""
    found = _TEXT.fullmatch(text)
    if not found or found[1] not in KINDS:
        raise BenchError(f"--fault {text}: say KIND[:NUMBER]@SECOND[+SECONDS], of {', '.join(KINDS)}")
    at_s = float(found[3])
    return Fault(cast("Kind", found[1]), int(found[2] or 0), at_s, at_s + float(found[4]) if found[4] else float("inf"))
