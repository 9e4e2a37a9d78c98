"""bench.images: from figures to the table's form."""

import json
from pathlib import Path

from bench.images import Figures, joined, row, table


def test_rows_have_the_form_of_all_bench_tables() -> None:
    """Case, unit, ours, peers, ratio over libvips, aim, met; cost at most, fidelity at least."""
    cost = row("CPU", "ms", {"ours": 20.0, "libvips": 25.0, "Pillow": 80.0}, at_most=1.0)
    fidelity = row("SSIM", "", {"ours": 0.97, "libvips": 0.98, "Pillow": 0.99}, at_least=0.999)

    assert cost == {
        "case": "CPU",
        "unit": "ms",
        "ours": 20.0,
        "peers": {"libvips": 25.0, "Pillow": 80.0},
        "ratio": 0.8,
        "aim": 1.0,
        "met": True,
    }
    assert fidelity["met"] is False


def test_without_the_rival_nothing_is_met_or_missed() -> None:
    """A machine without libvips gets our figures all the same."""
    alone = row("CPU", "ms", {"ours": 20.0, "Pillow": 80.0}, at_most=1.0)

    assert (alone["ratio"], alone["met"]) == (None, None)


def test_rounds_add_up() -> None:
    """Turns of all rounds are kept, of memory the most."""
    rounds = [Figures(cpu_ms=[3.0], rss_bytes=5), Figures(cpu_ms=[2.0], rss_bytes=4)]
    both = joined(joined(None, rounds[0]), rounds[1])

    assert sorted(both.cpu_ms) == [2.0, 3.0]
    assert both.rss_bytes == 5


def test_the_least_turn_counts() -> None:
    """Other programs on the machine only ever add."""
    made = {"full": b"12345", "feed": b"123", "thumb": b"1"}
    one = Figures(cpu_ms=[5.0, 3.0], pair_cpu_ms=[8.0], rss_bytes=2**20, rss_idle_bytes=2**19, renditions=made)
    rows = table({"photo": {"ours": one}}, {"photo": {"ours": dict.fromkeys(made, (0.9, 40.0))}})
    found = {one["case"]: one["ours"] for one in rows}

    assert found["CPU, photo, at most"] == 3.0
    assert found["CPU with composite and ThumbHash, photo"] == 4.0
    assert found["size full, photo"] == 5


def test_the_last_result_has_every_row() -> None:
    """The file in the repository is of this code's form."""
    written = json.loads((Path(__file__).parents[3] / "bench" / "results" / "images.json").read_text())

    assert set(written["machine"]) == {"cpus", "system", "python"}
    assert len(written["rows"]) == 3 * 13
