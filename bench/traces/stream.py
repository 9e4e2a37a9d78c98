"""The stream of `random.Random` in windows of numpy arrays: the same variates at a hundredth of the time. Pure."""

import math
from collections.abc import Iterator
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

WINDOW: Final = 2**16  # positions at once: more are not faster
NORMAL: Final = 4 * math.exp(-0.5) / math.sqrt(2.0)


class Source(Protocol):
    """The part of `random.Random` that a stream needs: the state of its generator."""

    def getstate(self) -> tuple[Any, ...]:
        """Return the state of the Mersenne Twister: a version, its 624 words and its position, and a spare variate."""
        ...


class Stream:
    """A window of the generator's stream, as 64 bits and as a variate in [0, 1) at every position.

    `normal` is the standard normal variate of the two draws at a position, and `next` where the first accepted one at
    or after a position begins, every second position being asked; beyond the window it is `size`.
    """

    def __init__(self, words: NDArray[np.uint64]) -> None:
        self.words = words
        # A draw of `random()` or `getrandbits(64)` takes two words of the Mersenne Twister, so a position is two words.
        low, high = words[::2], words[1::2]
        self.bits = low | (high << np.uint64(32))
        # 53 bits as CPython takes them: 27 of the first word, 26 of the second.
        self.uniform = ((low >> np.uint64(5)) * 67108864.0 + (high >> np.uint64(6))) / 9007199254740992.0
        self.size = len(self.bits)
        # A normal variate by rejection (Kinderman and Monahan, as in CPython's `normalvariate`) takes two positions a
        # try, and how many tries is not known before: it is computed for every position at which it could begin.
        second = 1.0 - self.uniform[1:]
        self.normal = NORMAL * (self.uniform[:-1] - 0.5) / second
        accepted = self.normal * self.normal / 4.0 <= -np.log(second)
        self.next = np.full(self.size + 1, self.size, np.int64)
        self.next[: self.size - 1][accepted] = np.flatnonzero(accepted)
        # Tries that begin at even and at odd positions never meet.
        for half in (0, 1):
            backwards = self.next[half::2][::-1]
            backwards[:] = np.minimum.accumulate(backwards)
        self.used = 0

    def after_normal(self, at: NDArray[np.int64]) -> NDArray[np.int64]:
        """The position behind the next normal variate, at most `size`, which means beyond."""
        return np.minimum(self.next[at] + 2, self.size)


def windows(rng: Source) -> Iterator[Stream]:
    """The stream from the state of `rng` on, each window beginning with what the one before did not use."""
    words = rng.getstate()[1]
    source = np.random.MT19937()
    source.state = {"bit_generator": "MT19937", "state": {"key": np.array(words[:-1], np.uint32), "pos": words[-1]}}
    left = np.empty(0, np.uint64)
    while True:
        stream = Stream(np.concatenate([left, source.random_raw(2 * WINDOW - len(left))]))
        yield stream
        left = stream.words[2 * stream.used :]
