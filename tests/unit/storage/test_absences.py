"""In which moments users have no post: remembered by user and moment, and for a while."""

import pytest

from storage import absences
from storage.absences import KEPT_S, Absences


def test_what_was_noted_is_known_of_this_user_and_moment_alone() -> None:
    """Until it expires, counted from the first note."""
    now = [0.0]
    known = Absences(lambda: now[0])
    known.note("ann", ["m-1", "m-2"])
    now[0] = KEPT_S - 1
    known.note("ann", ["m-3"])
    known.note("ben", ["m-3"])

    found = {(user, moment) for user in ("ann", "ben") for moment in ("m-1", "m-2", "m-3") if known.has(user, moment)}
    assert found == {("ann", "m-1"), ("ann", "m-2"), ("ann", "m-3"), ("ben", "m-3")}
    now[0] = KEPT_S
    assert not any(known.has("ann", moment) for moment in ("m-1", "m-2", "m-3"))
    assert known.has("ben", "m-3")
    assert not known.has("cem", "m-9")


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Too many moments: all is forgotten, and learned again."""
    monkeypatch.setattr(absences, "MOMENTS_MAX", 2)
    known = Absences(lambda: 0.0)
    known.note("ann", ["m-1", "m-2"])
    known.note("ben", ["m-3"])
    assert [known.has("ann", "m-1"), known.has("ben", "m-3"), known.has("ann", "m-3")] == [False, True, False]
