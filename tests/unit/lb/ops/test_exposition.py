"""lb.ops.exposition: the copy of storage/exposition.py, whose tests are those of both."""

from pathlib import Path

import lb.ops.exposition as copied
import storage.exposition as original


def test_the_balancer_has_the_same_text() -> None:
    """It imports no other package, so it has a copy; whatever is mended in one is mended in both."""
    texts = [Path(one.__file__).read_text(encoding="utf-8").split('"""\n', 1)[1] for one in (original, copied)]

    assert texts[0] == texts[1]
