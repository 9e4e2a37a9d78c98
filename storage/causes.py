"""Raises errors that were kept: those of a group, whose own text does not name them, and those among answers.

An error's traceback has the frames that it passed, and a frame has its names. So a name that keeps an error which its
own frame raises keeps all of them, an upload's body too, until the collector runs: such names are deleted.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


def leaves(error: BaseException) -> Iterator[BaseException]:
    """The errors inside nested groups, in order; the error itself if it is not a group."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from leaves(inner)
    else:
        yield error


@contextmanager
def unwrapped() -> Iterator[None]:
    """Raise the first error of a group instead of the group, with the other errors as notes on the first."""
    try:
        yield
    except BaseExceptionGroup as group:
        first, *others = leaves(group)
        for other in others:
            first.add_note(f"and {type(other).__name__}: {other}")
        try:
            raise first from None
        finally:
            del first, others


def raise_first(answers: list[Any]) -> None:
    """Raise the first error among the answers, if there is one; the list is empty then."""
    for answer in answers:
        if isinstance(answer, Exception):
            answers.clear()
            try:
                raise answer
            finally:
                del answer
