"""What really went wrong, out of groups of groups."""

import contextlib
import gc
import weakref

import pytest

from storage.causes import leaves, raise_first, unwrapped


def test_a_group_leaves_as_its_first_error() -> None:
    """The others are its notes; its own traceback stays, and the group is not shown."""
    inner = ExceptionGroup("unhandled errors in a TaskGroup", [FileNotFoundError("the socket file"), ValueError("x")])
    with pytest.raises(FileNotFoundError, match="the socket file") as raised, unwrapped():
        raise ExceptionGroup("unhandled errors in a TaskGroup", [inner, KeyError("y")])

    assert raised.value.__notes__ == ["and ValueError: x", "and KeyError: 'y'"]
    assert raised.value.__suppress_context__


def test_what_is_no_group_passes() -> None:
    """As it is; and all is well where nothing is raised."""
    error = OSError("plain")
    with pytest.raises(OSError, match="plain") as raised, unwrapped():
        raise error
    with unwrapped():
        pass
    assert raised.value is error
    assert list(leaves(error)) == [error]


def test_the_first_error_among_answers_is_raised_and_kept_by_nothing() -> None:
    """Its traceback has the frame that had the answers; so that both go, these are forgotten."""

    class Answer(Exception):
        """An error that can be seen to be gone."""

    def asked(answers: list[object]) -> None:
        raise_first(answers)
        assert answers == [1, 2]

    asked([1, 2])
    gc.disable()
    try:
        error = Answer()
        gone = weakref.ref(error)
        answers = [1, error, KeyError("x")]
        del error
        with contextlib.suppress(Answer):
            asked(answers)
        assert (answers, gone()) == ([], None)
    finally:
        gc.enable()
