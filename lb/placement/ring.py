"""The consistent hash: each key has a slot, and each slot an order of all members; the first is the key's home.

A table of `slots` rows holds the first two members of each order. The others are computed on demand, which happens when
both are down or full. An order depends on ids and weights alone (`slots.py`), so all balancers agree, and a leaving
member moves exactly its own keys, each to its own second member. Two million slots keep the largest of 200 shares
within 5 % of the mean: a share has a relative deviation of sqrt(members / slots). Keys are hashed with a secret
(BLAKE2s), so that a client cannot aim at one node. The ring knows nothing of health or load.
"""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from hashlib import blake2b, blake2s

import numpy as np

from .slots import MEMBERS_MAX, NOBODY, Cells, Scoring, fill, refill

ORDERS_MAX = 16384  # Whole orders kept in memory, 2 KB each for 200 members.


class Ring:
    """An immutable table; `members` are pairs of id and weight (a whole number, 0 = no share).

    Built from the table `before`, where one is given, in a fraction of the time and with the same result.
    `shares` is the part of the slots, 0 to 1, whose home is each member.
    """

    def __init__(
        self, members: Iterable[tuple[str, int]], *, seed: bytes, slots: int, before: "Ring | None" = None
    ) -> None:
        weights = {name: weight for name, weight in dict(members).items() if weight > 0}
        if len(weights) > MEMBERS_MAX:
            raise ValueError(f"{len(weights)} members on a ring for {MEMBERS_MAX}")
        self.ids = tuple(sorted(weights))
        self.weights = weights
        self.seed, self.slots = seed, slots
        secret = blake2b(seed).digest()
        self._hash = blake2s(digest_size=8, key=secret[:32])
        self._scoring = Scoring([(name, weights[name]) for name in self.ids], secret)
        if before is not None and self._resembles(before):
            self.table = self._changed(before)
        else:
            self.table = fill(self._scoring, slots)
        self.table.flags.writeable = False
        self._order = lru_cache(maxsize=ORDERS_MAX)(self._scoring.order)
        self._cells = self.table.reshape(-1).data
        self.shares = self._shares()

    def _resembles(self, before: "Ring") -> bool:
        """Whether the other table has the same seed and size, and members that stay."""
        alike = (self.seed, self.slots) == (before.seed, before.slots)
        return alike and bool(self.weights.items() & before.weights.items())

    def _changed(self, before: "Ring") -> Cells:
        """The table from an older one: computes the rows of members that left and the scores of those that joined."""
        index_of = {name: index for index, name in enumerate(self.ids)}
        joined = [index for name, index in index_of.items() if before.weights.get(name) != self.weights[name]]
        renamed = np.full(MEMBERS_MAX + 1, NOBODY, np.uint16)
        for index, name in enumerate(before.ids):
            if self.weights.get(name) == before.weights[name]:
                renamed[index] = index_of[name]
        return refill(self._scoring, before.table, renamed, joined)

    def digest(self, key: bytes) -> int:
        """64 bits of a keyed hash: the lower ones choose the slot, the upper eight its turn in a slow start."""
        hashed = self._hash.copy()
        hashed.update(key)
        return int.from_bytes(hashed.digest(), "little")

    def first(self, digest: int) -> int:
        """The index of the digest's home; NOBODY on an empty ring."""
        return self._cells[digest % self.slots * 2]

    def two(self, digest: int) -> tuple[int, int]:
        """The indices of the digest's first two members; NOBODY where there is none."""
        at = digest % self.slots * 2
        cells = self._cells
        return cells[at], cells[at + 1]

    def rest(self, digest: int) -> list[int]:
        """The indices of all other members, in order; computed once for each slot."""
        return self._order(digest % self.slots)[2:] if len(self.ids) > 2 else []

    def order(self, key: bytes) -> Iterator[str]:
        """All members in this key's order, each once, computed as far as they are read."""
        digest = self.digest(key)
        for index in self.two(digest):
            if index != NOBODY:
                yield self.ids[index]
        for index in self.rest(digest):
            yield self.ids[index]

    def _shares(self) -> dict[str, float]:
        """The part of the slots, 0 to 1, whose home is each member."""
        counts = np.zeros(MEMBERS_MAX + 1, np.int64)
        for start in range(0, self.slots, 1 << 15):
            counts += np.bincount(self.table[start : start + (1 << 15), 0], minlength=MEMBERS_MAX + 1)
        return {name: int(counts[index]) / self.slots for index, name in enumerate(self.ids)}

    def moved(self, other: "Ring") -> dict[tuple[str, str], int]:
        """Slots whose home differs in the other ring of as many slots, by old and new home."""
        pairs = self.table[:, 0].astype(np.int64) << 16 | other.table[:, 0]
        found, counts = np.unique(pairs, return_counts=True)
        named = {
            (self.ids[pair >> 16], other.ids[pair & 0xFFFF]): count
            for pair, count in zip(found.tolist(), counts.tolist(), strict=True)
            if pair >> 16 != NOBODY and pair & 0xFFFF != NOBODY
        }
        return {pair: count for pair, count in named.items() if pair[0] != pair[1]}
