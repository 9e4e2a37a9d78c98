"""The arithmetic of the ring: weighted rendezvous hashing, which gives each slot an order of all members.

Each pair of slot and member has a hash, and the hash a score: log2 of an exponential variable over the member's weight.
The member with the lowest score is first; a member is first in its weight's part of the slots (Thaler and Ravishankar
1998; the logarithm is for weights). A score is a whole number of 64 bits (score, then hash, then index), so that all
machines order them alike. It does not depend on other members: a member that leaves is removed from each slot's order,
and nothing else changes. The code is numpy over blocks that fit the second-level cache; numpy releases the interpreter
lock within each step.
"""

from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

BLOCK = 1 << 15
MEMBERS_MAX = 1023  # A score has ten bits for an index.
NOBODY = MEMBERS_MAX
WEIGHT_MAX = 100

Words = npt.NDArray[np.uint32]
Scores = npt.NDArray[np.int64]
Cells = npt.NDArray[np.uint16]

_HIGHEST = np.iinfo(np.int64).max
_CELLS = 1 << 16
_UNIT = 1 << 32  # Steps of score in one octave: log2 lies within -24 … 4, so five bits and these make 37.


def _mixed(words: Words) -> Words:
    """A well-mixing permutation of 32 bits, in place (lowbias32, Wellons 2018)."""
    words ^= words >> 16
    words *= np.uint32(0x7FEB352D)
    words ^= words >> 15
    words *= np.uint32(0x846CA68B)
    words ^= words >> 16
    return words


class Scoring:
    """Members with weights, by index in the order of their ids, and the score of each in each slot."""

    def __init__(self, members: Sequence[tuple[str, int]], seed: bytes) -> None:
        self.size = len(members)
        salt = np.frombuffer(blake2b(b"slots", key=seed, digest_size=8).digest(), "<u4")
        self._salt = int(salt[0]), int(salt[1])
        digests = b"".join(blake2b(name.encode(), key=seed, digest_size=4).digest() for name, _ in members)
        self._factors = np.frombuffer(digests, "<u4").astype(np.uint32) | np.uint32(1)
        distinct = sorted({weight for _, weight in members})
        self._tables = {weight: self._table(weight) for weight in distinct}
        self._rows = np.array([distinct.index(weight) for _, weight in members], np.intp)
        self._stacked = np.array([self._tables[weight] for weight in distinct], np.int64).reshape(-1, _CELLS)
        self._weights = [weight for _, weight in members]

    @staticmethod
    def _table(weight: int) -> Scores:
        """The score of each of 2^16 equal cells of the hash; it rises with the hash."""
        uniform = (np.arange(_CELLS) + 0.5) / _CELLS
        octaves = np.log2(-np.log1p(-uniform)) - np.log2(weight)
        scores: Scores = np.rint((octaves + 24) * _UNIT).astype(np.int64) << 26
        return scores

    def words(self, slots: npt.NDArray[np.int64]) -> Words:
        """A keyed random word for each slot."""
        words = slots.astype(np.uint32) ^ np.uint32(self._salt[0])
        return _mixed(_mixed(words) + np.uint32(self._salt[1]))

    def best(self, words: Words, members: Iterable[int], first: Scores, second: Scores) -> None:
        """Merge the scores of these members into the two lowest of each slot, in place."""
        size = len(words)
        hashed, scratch = np.empty(size, np.uint32), np.empty(size, np.uint32)
        score, higher = np.empty(size, np.int64), np.empty(size, np.int64)
        for index in members:
            np.multiply(words, self._factors[index], out=hashed)
            np.right_shift(hashed, 15, out=scratch)
            np.bitwise_xor(hashed, scratch, out=hashed)
            np.multiply(hashed, np.uint32(0x846CA68B), out=hashed)
            np.right_shift(hashed, 16, out=scratch)
            np.bitwise_xor(hashed, scratch, out=hashed)
            np.right_shift(hashed, 16, out=scratch)
            np.take(self._tables[self._weights[index]], scratch, out=score, mode="clip")
            np.bitwise_and(hashed, 0xFFFF, out=scratch)
            np.left_shift(scratch, 10, out=scratch)
            np.add(score, scratch, out=score)
            np.add(score, index, out=score)
            np.maximum(first, score, out=higher)
            np.minimum(first, score, out=first)
            np.minimum(second, higher, out=second)

    def scores_of(self, words: Words, members: Cells) -> Scores:
        """The score of the member given for each slot; NOBODY has the highest."""
        known = members < self.size
        index = np.where(known, members, 0)
        hashed = self._hashed(words, self._factors[index])
        scores = self._stacked[self._rows[index], hashed >> 16] + ((hashed & 0xFFFF).astype(np.int64) << 10) + index
        return np.where(known, scores, _HIGHEST)

    @staticmethod
    def _hashed(words: Words, factors: Words) -> Words:
        hashed = words * factors
        hashed ^= hashed >> 15
        hashed *= np.uint32(0x846CA68B)
        hashed ^= hashed >> 16
        return hashed

    def order(self, slot: int) -> list[int]:
        """All members in this slot's order."""
        words = np.repeat(self.words(np.array([slot])), self.size)
        found: list[int] = (
            np.sort(self.scores_of(words, np.arange(self.size, dtype=np.uint16))) & MEMBERS_MAX
        ).tolist()
        return found

    def choose(self, slots: npt.NDArray[np.int64], cells: Cells, joined: Sequence[int]) -> Cells:
        """The two lowest-scoring members of each slot, of those known (rows of `cells`) and those that joined."""
        if not self.size:
            return _nobody(len(slots))
        words = self.words(slots)
        first, second = self.scores_of(words, cells[:, 0]), self.scores_of(words, cells[:, 1])
        self.best(words, joined, first, second)
        chosen = np.empty_like(cells)
        chosen[:, 0], chosen[:, 1] = first & MEMBERS_MAX, second & MEMBERS_MAX
        return chosen


def blocks(slots: int) -> Iterator[npt.NDArray[np.int64]]:
    """All slots, in blocks that fit the cache."""
    for start in range(0, slots, BLOCK):
        yield np.arange(start, min(slots, start + BLOCK))


def fill(scoring: Scoring, slots: int) -> Cells:
    """The whole table, one row for each slot."""
    made = np.empty((slots, 2), np.uint16)
    for block in blocks(slots):
        made[block[0] : block[-1] + 1] = scoring.choose(block, _nobody(len(block)), range(scoring.size))
    return made


def refill(scoring: Scoring, before: Cells, renamed: Cells, joined: Sequence[int]) -> Cells:
    """The table from an older one: `renamed` maps its indices to the new ones, NOBODY for members that left."""
    made = np.empty_like(before)
    for block in blocks(len(before)):
        old = renamed[before[block[0] : block[-1] + 1]]
        rows = scoring.choose(block, old, joined)
        # A row that lost a member does not hold its third one: compute it from all members.
        lost = np.flatnonzero((old[:, 0] == NOBODY) | (old[:, 1] == NOBODY))
        if len(lost):
            rows[lost] = scoring.choose(block[lost], _nobody(len(lost)), range(scoring.size))
        made[block[0] : block[-1] + 1] = rows
    return made


def _nobody(rows: int) -> Cells:
    return np.full((rows, 2), NOBODY, np.uint16)
