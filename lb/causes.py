"""What really went wrong: the error inside the groups that task groups raise, whose own text names none of it."""

from collections.abc import Iterator
from contextlib import contextmanager


def leaves(error: BaseException) -> Iterator[BaseException]:
    """The errors in it that are no groups, in order; itself when it is none."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from leaves(inner)
    else:
        yield error


@contextmanager
def unwrapped() -> Iterator[None]:
    """A group that is raised inside leaves as its first error, the others as notes of that one."""
    try:
        yield
    except BaseExceptionGroup as group:
        first, *others = leaves(group)
        for other in others:
            first.add_note(f"and {type(other).__name__}: {other}")
        raise first from None
