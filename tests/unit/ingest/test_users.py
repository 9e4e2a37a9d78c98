"""Calls about all of a user's posts are much work: a node makes few at a time, and one of a user."""

import pytest

from ingest.errors import Refusal
from ingest.users import Turns


def refused(turns: Turns, user: str) -> Refusal:
    """The refusal of a turn for this user."""
    with pytest.raises(Refusal) as refusal, turns.of(user):
        raise AssertionError
    return refusal.value


def test_a_user_has_one_turn_and_a_node_so_many() -> None:
    """The user is told to wait (429), others that the node is full (503); a turn that failed is free."""
    turns = Turns(2, "exports")
    with turns.of("ann"):
        assert refused(turns, "ann").code == "rate-limited"
        with turns.of("ben"):
            full = refused(turns, "cem")
        assert (full.code, int(full.headers["Retry-After"]) >= 1) == ("overloaded", True)
        with pytest.raises(ZeroDivisionError), turns.of("ben"):
            raise ZeroDivisionError
        with turns.of("cem"):
            pass
