"""One check, and what follows from all of them: go, no-go, or could not tell. Pure."""

from collections.abc import Sequence
from typing import Final

import msgspec

GO: Final = 0
NO_GO: Final = 1
UNTOLD: Final = 2


class Check(msgspec.Struct, frozen=True):
    """One line: what was checked, whether it is as wanted (None: could not tell), what was found, what to do."""

    name: str
    ok: bool | None
    found: str
    wanted: str
    remedy: str = ""


class Verdict(msgspec.Struct, frozen=True):
    """What `check --json` prints."""

    go: bool
    checks: tuple[Check, ...]

    @property
    def exit_code(self) -> int:
        """`GO` when all is as wanted, `NO_GO` when something is not, else `UNTOLD`."""
        if self.go:
            return GO
        # What is known to be wrong outweighs what could not be told: waiting for the answer cannot make it go.
        return NO_GO if any(check.ok is False for check in self.checks) else UNTOLD


def verdict(checks: Sequence[Check]) -> Verdict:
    """Go if there are checks, and all are as wanted."""
    # Without any check nothing was found to be well.
    return Verdict(bool(checks) and all(check.ok for check in checks), tuple(checks))


def judged(name: str, wrong: Sequence[str], *, found: str, wanted: str, remedy: str, untold: str = "") -> Check:
    """A check that fails for each of `wrong`, else could not be told if `untold` says why, else is as wanted."""
    # Before `untold`: a fault that was seen counts, even if not everything could be seen.
    if wrong:
        return Check(name, False, listed(wrong), wanted, remedy)
    if untold:
        return Check(name, None, untold, wanted, remedy)
    return Check(name, True, found, wanted)


def listed(texts: Sequence[str], most: int = 5) -> str:
    """Texts as one, the first few of them."""
    more = [f"and {len(texts) - most} more"] if len(texts) > most else []
    return "; ".join([*texts[:most], *more])


def size(count: float) -> str:
    """Bytes as a person reads them."""
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if abs(count) < 1024:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"
