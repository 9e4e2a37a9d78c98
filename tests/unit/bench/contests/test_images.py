"""bench.contests.images: from figures to the table's form."""

import copy
import json
from pathlib import Path

from bench.contests.images import ALLOCATOR, Figures, joined, table
from bench.rows import OURS
from processors import memory


def test_rounds_add_up() -> None:
    """Turns of all rounds are kept, of memory the most."""
    first = Figures(cpu_ms=[3.0], pair_cpu_ms=[7.0], rss_bytes=5, rss_idle_bytes=2)
    second = Figures(cpu_ms=[2.0], pair_cpu_ms=[6.0], rss_bytes=4, rss_idle_bytes=3)
    for rounds in ((first, second), (second, first)):
        both = joined(*(joined(None, copy.deepcopy(one)) for one in rounds))

        assert (sorted(both.cpu_ms), sorted(both.pair_cpu_ms)) == ([2.0, 3.0], [6.0, 7.0])
        assert (both.rss_bytes, both.rss_idle_bytes) == (5, 3)


def test_the_peers_have_the_allocator_of_our_workers() -> None:
    """Every parameter that a worker sets by itself, with its value: M_ARENA_MAX, M_MMAP_THRESHOLD, M_TRIM_THRESHOLD."""
    names = {-8: "MALLOC_ARENA_MAX", -3: "MALLOC_MMAP_THRESHOLD_", -1: "MALLOC_TRIM_THRESHOLD_"}

    assert set(ALLOCATOR) == {f"{names[parameter]}={value}" for parameter, value in memory._MALLOPT.items()}


def test_the_least_turn_counts() -> None:
    """Other programs on the machine only ever add."""
    made = {"full": b"12345", "feed": b"123", "thumb": b"1"}
    one = Figures(cpu_ms=[5.0, 3.0], pair_cpu_ms=[8.0], rss_bytes=2**20, rss_idle_bytes=2**19, renditions=made)
    rows = table({"photo": {OURS: one}}, {"photo": {OURS: dict.fromkeys(made, (0.9, 40.0))}})
    found = {row.case: row.ours for row in rows}

    assert found["CPU, photo, at most"] == 3.0
    assert found["CPU with composite and ThumbHash, photo"] == 4.0
    assert found["size full, photo"] == 5


def test_cost_is_at_most_and_fidelity_at_least_libvips() -> None:
    """By their ratio to it; a machine without it gets our figures all the same."""
    made = {"full": b"12345", "feed": b"123", "thumb": b"1"}
    ours, theirs = (
        Figures(cpu_ms=[cpu_ms], pair_cpu_ms=[8.0], rss_bytes=2**20, rss_idle_bytes=2**19, renditions=made)
        for cpu_ms in (20.0, 25.0)
    )
    seen = {OURS: dict.fromkeys(made, (0.97, 40.0)), "libvips": dict.fromkeys(made, (0.98, 40.0))}
    found = {row.case: row for row in table({"photo": {OURS: ours, "libvips": theirs}}, {"photo": seen})}
    alone = {row.case: row for row in table({"photo": {OURS: ours}}, {"photo": seen})}

    assert (found["CPU, photo, at most"].ratio, found["CPU, photo, at most"].met) == (0.8, True)
    assert found["SSIM full, photo, at least"].met is False
    assert found["PSNR full, photo, at least"].met is True
    assert alone["CPU, photo, at most"].met is None


def test_the_last_result_has_every_row() -> None:
    """The file in the repository is of this code's form."""
    written = json.loads((Path(__file__).parents[4] / "bench" / "results" / "images.json").read_text())

    assert len(written["rows"]) == 3 * 13
