"""The arithmetic of the ring: for every slot the two members that want it most, by weighted rendezvous hashing.

Each pair of slot and member has a hash, and the hash a price: -log2 of an exponential variable over the member's
weight, so that a member is cheapest in its weight's part of the slots (Thaler and Ravishankar 1998; the logarithm for
weights). Prices are whole numbers of 64 bits, price over hash over index, so that all machines order them alike, and a
price knows nothing of other members: who leaves is struck out of each slot's order and changes nothing else.
All of it is numpy over blocks that fit the second-level cache; numpy lets go of the interpreter lock within each step.
"""

from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

BLOCK = 1 << 15
MEMBERS_MAX = 1023  # An index takes ten bits of a price.
NOBODY = MEMBERS_MAX
WEIGHT_MAX = 100

Words = npt.NDArray[np.uint32]
Prices = npt.NDArray[np.int64]
Cells = npt.NDArray[np.uint16]

_DEAREST = np.iinfo(np.int64).max
_CELLS = 1 << 16
_UNIT = 1 << 32  # Steps of price in one octave: log2 lies within -24 … 4, five bits and these make 37.


def _mixed(words: Words) -> Words:
    """A well-mixing permutation of 32 bits, in place (lowbias32, Wellons 2018)."""
    words ^= words >> 16
    words *= np.uint32(0x7FEB352D)
    words ^= words >> 15
    words *= np.uint32(0x846CA68B)
    words ^= words >> 16
    return words


class Market:
    """Members with weights, by index in the order of their ids, and what each slot costs each of them."""

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
    def _table(weight: int) -> Prices:
        """The price of each of 2^16 equal cells of the hash, rising with it."""
        uniform = (np.arange(_CELLS) + 0.5) / _CELLS
        octaves = np.log2(-np.log1p(-uniform)) - np.log2(weight)
        prices: Prices = np.rint((octaves + 24) * _UNIT).astype(np.int64) << 26
        return prices

    def words(self, slots: npt.NDArray[np.int64]) -> Words:
        """A keyed random word for each slot."""
        words = slots.astype(np.uint32) ^ np.uint32(self._salt[0])
        return _mixed(_mixed(words) + np.uint32(self._salt[1]))

    def best(self, words: Words, members: Iterable[int], first: Prices, second: Prices) -> None:
        """Fold the prices of these members into the two cheapest of each slot, in place."""
        size = len(words)
        hashed, scratch = np.empty(size, np.uint32), np.empty(size, np.uint32)
        price, dearer = np.empty(size, np.int64), np.empty(size, np.int64)
        for index in members:
            np.multiply(words, self._factors[index], out=hashed)
            np.right_shift(hashed, 15, out=scratch)
            np.bitwise_xor(hashed, scratch, out=hashed)
            np.multiply(hashed, np.uint32(0x846CA68B), out=hashed)
            np.right_shift(hashed, 16, out=scratch)
            np.bitwise_xor(hashed, scratch, out=hashed)
            np.right_shift(hashed, 16, out=scratch)
            np.take(self._tables[self._weights[index]], scratch, out=price, mode="clip")
            np.bitwise_and(hashed, 0xFFFF, out=scratch)
            np.left_shift(scratch, 10, out=scratch)
            np.add(price, scratch, out=price)
            np.add(price, index, out=price)
            np.maximum(first, price, out=dearer)
            np.minimum(first, price, out=first)
            np.minimum(second, dearer, out=second)

    def priced(self, words: Words, members: Cells) -> Prices:
        """What each slot costs the member named for it; NOBODY is dearer than all."""
        known = members < self.size
        index = np.where(known, members, 0)
        hashed = self._hashed(words, self._factors[index])
        prices = self._stacked[self._rows[index], hashed >> 16] + ((hashed & 0xFFFF).astype(np.int64) << 10) + index
        return np.where(known, prices, _DEAREST)

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
        found: list[int] = (np.sort(self.priced(words, np.arange(self.size, dtype=np.uint16))) & MEMBERS_MAX).tolist()
        return found

    def choose(self, slots: npt.NDArray[np.int64], cells: Cells, joined: Sequence[int]) -> Cells:
        """The two cheapest for each slot, given the two known ones (rows of `cells`) and who else there is."""
        if not self.size:
            return _nobody(len(slots))
        words = self.words(slots)
        first, second = self.priced(words, cells[:, 0]), self.priced(words, cells[:, 1])
        self.best(words, joined, first, second)
        chosen = np.empty_like(cells)
        chosen[:, 0], chosen[:, 1] = first & MEMBERS_MAX, second & MEMBERS_MAX
        return chosen


def blocks(slots: int) -> Iterator[npt.NDArray[np.int64]]:
    """All slots in pieces that fit the cache."""
    for start in range(0, slots, BLOCK):
        yield np.arange(start, min(slots, start + BLOCK))


def fill(market: Market, slots: int) -> Cells:
    """The whole table, one row a slot."""
    made = np.empty((slots, 2), np.uint16)
    for block in blocks(slots):
        made[block[0] : block[-1] + 1] = market.choose(block, _nobody(len(block)), range(market.size))
    return made


def refill(market: Market, before: Cells, renamed: Cells, joined: Sequence[int]) -> Cells:
    """The table made from another's: `renamed` gives its members' new indices, NOBODY for those who left."""
    made = np.empty_like(before)
    for block in blocks(len(before)):
        old = renamed[before[block[0] : block[-1] + 1]]
        rows = market.choose(block, old, joined)
        # A row that lost one of its two does not know its third: it starts over.
        lost = np.flatnonzero((old[:, 0] == NOBODY) | (old[:, 1] == NOBODY))
        if len(lost):
            rows[lost] = market.choose(block[lost], _nobody(len(lost)), range(market.size))
        made[block[0] : block[-1] + 1] = rows
    return made


def _nobody(rows: int) -> Cells:
    return np.full((rows, 2), NOBODY, np.uint16)
