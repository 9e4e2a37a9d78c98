"""lb.placement.slots: the scores behind the ring."""

import numpy as np

from lb.placement.slots import BLOCK, NOBODY, Scoring, blocks, fill, refill

MEMBERS = [("a", 1), ("b", 2), ("c", 1)]


def test_a_row_begins_the_whole_order() -> None:
    """The two cells of a slot are the first two of its order, worked out one by one."""
    scoring = Scoring(MEMBERS, b"seed")
    table = fill(scoring, 512)

    for slot in range(512):
        order = scoring.order(slot)
        assert sorted(order) == [0, 1, 2]
        assert table[slot].tolist() == order[:2]


def test_prices_are_of_the_pair_alone() -> None:
    """A member costs each slot the same whoever else bids, but for its index in the last ten bits."""
    slots = np.arange(64)
    alone, among = Scoring(MEMBERS[1:2], b"seed"), Scoring(MEMBERS, b"seed")
    words = alone.words(slots)

    assert (words == among.words(slots)).all()
    one = alone.scores_of(words, np.zeros(64, np.uint16)) >> 10
    assert (one == among.scores_of(words, np.ones(64, np.uint16)) >> 10).all()


def test_nobody_is_dearer_than_all() -> None:
    """An empty cell loses against any member; a scoring of none leaves all cells empty."""
    scoring = Scoring(MEMBERS[:1], b"seed")

    assert (fill(scoring, 64) == [0, NOBODY]).all()
    assert (fill(Scoring([], b"seed"), 64) == NOBODY).all()


def test_a_row_without_its_leaver_starts_over() -> None:
    """Renaming strikes out who left; the rest of the table is what a new one would be."""
    before = fill(Scoring(MEMBERS, b"seed"), 512)
    renamed = np.full(NOBODY + 1, NOBODY, np.uint16)
    renamed[[0, 2]] = 0, 1
    after = Scoring([MEMBERS[0], MEMBERS[2]], b"seed")

    assert (refill(after, before, renamed, ()) == fill(after, 512)).all()


def test_blocks_cover_every_slot_once() -> None:
    """Also when the last one is short."""
    pieces = list(blocks(2 * BLOCK + 5))

    assert [len(piece) for piece in pieces] == [BLOCK, BLOCK, 5]
    assert pieces[-1][-1] == 2 * BLOCK + 4
