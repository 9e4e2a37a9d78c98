"""Finds the cause in exception groups: a TaskGroup raises a group, whose text does not name the errors inside."""

from collections.abc import Iterator
from contextlib import contextmanager


def leaves(error: BaseException) -> Iterator[BaseException]:
    """The errors inside a group and its groups, in order; the error itself when it is no group."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from leaves(inner)
    else:
        yield error


@contextmanager
def unwrapped() -> Iterator[None]:
    """Raise the first error of a group that is raised inside; the others become its notes."""
    try:
        yield
    except BaseExceptionGroup as group:
        first, *others = leaves(group)
        for other in others:
            first.add_note(f"and {type(other).__name__}: {other}")
        raise first from None
