"""What a sweep found adds up, and says whether there was work."""

from processors.findings import Found, Swept


def test_findings_add_up() -> None:
    """Each number by itself."""
    both = Swept(posts=1, queued=2, lost=1) + Swept(posts=3, tidied=1, moments=1, lost=2)

    assert both == Swept(posts=4, queued=2, tidied=1, moments=1, lost=3)
    assert "4 posts" in str(both)
    assert Found({"a"}, {"b"}) | Found({"c"}, set(), {"c"}) == Found({"a", "c"}, {"b"}, {"c"})


def test_only_repairs_are_work() -> None:
    """Posts that need nothing are none."""
    assert not Swept(posts=9, moments=1, unfinished=3).found_work
    assert all(one.found_work for one in (Swept(queued=1), Swept(tidied=1), Swept(recounted=1)))
