"""Consistent hashing with virtual nodes: for every key an order of all members, the first being its home.

Each member puts `vnodes` points for each unit of weight on a circle of 2^64; a key walks clockwise from its own point
and meets members in its own order. Points depend on the member's id alone, so the order in which members are listed
does not matter and a leaving member moves exactly its own keys, spread over the others. The hash is keyed (BLAKE2b),
so that a client who does not know the seed cannot aim at one node. It knows nothing of health or load.
"""

import struct
from bisect import bisect
from collections.abc import Iterable, Iterator
from hashlib import blake2b

_CIRCLE = 1 << 64
_EIGHT = struct.Struct(">8Q")


class Ring:
    """An immutable ring; `members` are pairs of id and weight (a whole number, 0 = no share)."""

    def __init__(self, members: Iterable[tuple[str, int]], *, seed: bytes, vnodes: int) -> None:
        # BLAKE2b keys end at 64 bytes; a longer seed is hashed first.
        self._seed = seed if len(seed) <= 64 else blake2b(seed).digest()
        pairs = sorted(
            (point, member)
            for member, weight in dict(members).items()
            for point in self._points(member, vnodes * weight)
        )
        self._circle = [point for point, _ in pairs]
        self._owners = [member for _, member in pairs]
        self.members = frozenset(self._owners)

    def _points(self, member: str, count: int) -> list[int]:
        """One 64-byte digest gives eight points; the ids are hashed with a counter."""
        points: list[int] = []
        name = member.encode()
        for block in range((count + 7) // 8):
            points += _EIGHT.unpack(blake2b(b"%b\0%d" % (name, block), key=self._seed, digest_size=64).digest())
        return points[:count]

    def order(self, key: bytes) -> Iterator[str]:
        """All members in this key's order of preference, each once, found as far as asked."""
        owners = self._owners
        digest = blake2b(key, key=self._seed, digest_size=8).digest()
        start = bisect(self._circle, int.from_bytes(digest, "big"))
        seen: set[str] = set()
        missing = len(self.members)
        for span in (range(start, len(owners)), range(start)):
            for index in span:
                owner = owners[index]
                if owner not in seen:
                    yield owner
                    seen.add(owner)
                    missing -= 1
                    if not missing:
                        return

    def shares(self) -> dict[str, float]:
        """The part of the circle, 0 to 1, that each member is home to."""
        shares = dict.fromkeys(self.members, 0)
        before = self._circle[-1] - _CIRCLE if self._circle else 0
        for point, owner in zip(self._circle, self._owners, strict=True):
            shares[owner] += point - before
            before = point
        return {owner: length / _CIRCLE for owner, length in shares.items()}
