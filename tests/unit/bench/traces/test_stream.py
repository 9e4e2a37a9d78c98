"""The windows are the stream of `random.Random`, draw for draw."""

import itertools
import random

from bench.traces import stream


def test_positions_are_the_draws_of_a_random() -> None:
    """Across windows of which only a part was used, and from any state of the generator."""
    for seed, skipped in ((1, 0), (2, 313)):
        twin, source = random.Random(seed), random.Random(seed)
        for rng in (twin, source):
            rng.getrandbits(32 * skipped + 1)
        for window in itertools.islice(stream.windows(source), 3):
            window.used = 1000
            for at in range(1000):
                if at % 2:
                    assert window.uniform[at] == twin.random()
                else:
                    assert window.bits[at] == twin.getrandbits(64)


def test_normal_variates_are_those_of_a_random() -> None:
    """The value, and where the draws after it begin; at the window's end there is none."""
    twin = random.Random(5)
    window = next(stream.windows(random.Random(5)))
    at = 0
    for _ in range(2000):
        assert window.normal[window.next[at]] == twin.normalvariate(0, 1)
        at = int(window.after_normal(window.next[at : at + 1])[0])
    assert window.uniform[at] == twin.random()
    assert window.next[window.size] == window.next[window.size - 1] == window.size
    assert window.after_normal(window.next[-1:]).tolist() == [window.size]
