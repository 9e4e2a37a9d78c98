"""The outside witness: a log of JSON lines, each synced to disk before the client goes on, and its reading.

An operation is an upload or a deletion. Pure except for the file. `invoke` is written before the first byte is sent,
`sent` and `answer` around every try, and one of `ok`, `fail`, `unknown` at the end; an operation without an end is
unknown. A try of a resumable upload is its creation with all requests that continue it: `named` is written when a 104
tells where it is, `told` with each offset that an answer tells. Only clients write to the log.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import IO, Literal, Self

import msgspec

Ending = Literal["ok", "fail", "unknown"]
What = Literal["post", "delete"]


class Invoke(msgspec.Struct, frozen=True, tag="invoke", kw_only=True):
    """An upload begins, with the hex SHA-256 of both photos, or a deletion of the user's post."""

    op: str
    moment: str
    user: str
    what: What = "post"
    front: str = ""
    back: str = ""


class Sent(msgspec.Struct, frozen=True, tag="sent", kw_only=True):
    """A try begins, in Unix ms; `first` is the number of the try whose ticket it sends, else its own number."""

    op: str
    number: int
    at: int
    first: int


class Answer(msgspec.Struct, frozen=True, tag="answer", kw_only=True):
    """A try ended; status 0 without an answer. `kept` is False when the answer says that nothing was stored."""

    op: str
    number: int
    at: int
    status: int
    kept: bool | None = None
    ticket: bool = False


class Named(msgspec.Struct, frozen=True, tag="named", kw_only=True):
    """The first 104 of a try came, in Unix ms: by then the service has read the head of its first request."""

    op: str
    number: int
    at: int


class Told(msgspec.Struct, frozen=True, tag="told", kw_only=True):
    """An answer told how many bytes of the try's upload have arrived; `sent`: the most that the client has sent."""

    op: str
    number: int
    offset: int
    sent: int


class End(msgspec.Struct, frozen=True, tag="end", kw_only=True):
    """An upload or a deletion ended, with this outcome for its client."""

    op: str
    ending: Ending


Line = Invoke | Sent | Named | Told | Answer | End


class Try(msgspec.Struct, frozen=True, kw_only=True):
    """One request, or a resumable upload, in Unix ms; a request without an end may take effect at any later time.

    `named`: when its first 104 came. `told`: the offsets that it was told, each with the most bytes sent by then.
    """

    began: int
    ended: int | None = None
    status: int = 0
    kept: bool | None = None
    first: int = 0
    named: int | None = None
    told: tuple[tuple[int, int], ...] = ()


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One upload or one deletion with all its tries."""

    op: str
    moment: str
    user: str
    what: What = "post"
    front: str = ""
    back: str = ""
    tries: tuple[Try, ...] = ()
    ending: Ending = "unknown"

    @property
    def began(self) -> int:
        """Unix ms at which its first try began."""
        return self.tries[0].began if self.tries else 0

    @property
    def ended(self) -> int | None:
        """Unix ms at which its client got the final answer; None when it may take effect at any later time."""
        return self.tries[-1].ended if self.tries and self.ending != "unknown" else None

    def precedes(self, other: "Operation") -> bool:
        """Whether it had ended when the other began; otherwise the two may have taken effect in either order."""
        return self.ended is not None and self.ended < other.began


class Witness:
    """Appends lines; each is synced before `note` returns."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def note(self, line: Line) -> None:
        """Write the line and wait until it is synced to disk."""
        self._file.write(msgspec.json.encode(line) + b"\n")
        os.fsync(self._file.fileno())

    def __enter__(self) -> Self:
        self._file: IO[bytes] = self.path.open("ab", buffering=0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


def read(path: Path) -> tuple[Operation, ...]:
    """Every operation of a log, in the order in which they began; an incomplete last line is ignored."""
    whole = path.read_bytes().split(b"\n")[:-1]
    return operations(msgspec.json.decode(line, type=Line) for line in whole)


def operations(lines: Iterable[Line]) -> tuple[Operation, ...]:
    """The operations that the lines describe."""
    found: dict[str, Operation] = {}
    for line in lines:
        if isinstance(line, Invoke):
            found[line.op] = Operation(**msgspec.structs.asdict(line))
            continue
        known = found[line.op]
        match line:
            case Sent():
                tries = (*known.tries, Try(began=line.at, first=line.first))
                found[line.op] = msgspec.structs.replace(known, tries=tries)
            case Named():
                found[line.op] = _with(known, line.number, named=line.at)
            case Told():
                told = (*known.tries[line.number].told, (line.offset, line.sent))
                found[line.op] = _with(known, line.number, told=told)
            case Answer():
                found[line.op] = _with(known, line.number, ended=line.at, status=line.status, kept=line.kept)
            case End():
                found[line.op] = msgspec.structs.replace(known, ending=line.ending)
    return tuple(found.values())


def _with(known: Operation, number: int, **changed: object) -> Operation:
    """The operation with one of its tries changed."""
    tries = list(known.tries)
    tries[number] = msgspec.structs.replace(tries[number], **changed)
    return msgspec.structs.replace(known, tries=tuple(tries))
