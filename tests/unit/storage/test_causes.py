"""What really went wrong, out of groups of groups."""

import pytest

from storage.causes import leaves, unwrapped


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
