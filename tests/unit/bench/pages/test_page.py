"""bench.pages.page: one file with everything inside, and nothing of it from elsewhere."""

import re
from pathlib import Path

import pytest

from bench.pages import page as pages
from bench.pages.figures import lines
from bench.pages.page import BYTES_MAX, Drawing, Facts, PageTooBig, Verdict, page, save

DRAWN = Drawing("Rates", "of <things>", lines("a second", {"offered": [(0, 1), (1, 2)]}))
FETCHES = re.compile(
    r"""<(?:script|link|img|iframe)[^>]+(?:src|href)=|@import|url\(\s*['"]?(?:https?:)?//""", re.IGNORECASE
)


def test_the_verdict_is_first_and_everything_is_inside() -> None:
    """The script, the style, the tables, and the names of the colours."""
    text = page(
        "Replay of x", [Verdict(False, "lost 1"), Verdict(None, "void")], [Facts("Counts", ("a", "b"), ()), DRAWN]
    )

    assert text.index('class="verdict bad"') < text.index('class="verdict void"') < text.index("<h2>Counts")
    assert not FETCHES.search(text)
    assert "Bokeh.documents" in text
    assert "prefers-color-scheme: dark" in text
    assert ">offered</li>" in text
    assert len(text.encode()) < BYTES_MAX


def test_a_page_without_drawings_needs_no_script() -> None:
    """A verdict and a table alone."""
    assert "<script" not in page("t", [Verdict(True, "good")], [Facts("Counts", ("a",), (("1",),))])


def test_what_a_report_says_is_text() -> None:
    """Names and reasons come from elsewhere: from traces, from services."""
    evil = "<script>alert(1)</script>"
    text = page(evil, [Verdict(True, evil)], [Facts(evil, (evil,), ((evil,),), note=evil)])

    assert evil not in text
    assert text.count("&lt;script&gt;alert(1)") == 7


def test_what_is_wrong_is_marked_and_what_is_wide_has_the_page() -> None:
    """By the first cell of its row; by the number of columns."""
    text = page(
        "t", [], [Facts("f", tuple("abcdefg"), (("lost", *"123456"), ("half", *"123456")), frozenset({"lost"}))]
    )

    assert text.count("<tr class=marked>") == 1
    assert text.index("<tr class=marked>") < text.index("<td>lost") < text.index("<td>half")
    assert "<section class=wide>" in text


def test_a_page_over_its_limit_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One at its limit is."""
    monkeypatch.setattr(pages, "BYTES_MAX", 5)
    save(tmp_path / "new" / "page.html", "12345")
    assert (tmp_path / "new" / "page.html").read_text() == "12345"
    with pytest.raises(PageTooBig, match="at most 5"):
        save(tmp_path / "page.html", "123456")
    assert not (tmp_path / "page.html").exists()


def test_long_words_may_be_broken_and_numbers_not() -> None:
    """A digest beside a count: at 400 px both are seen."""
    text = page("t", [], [Facts("f", ("", ""), (("trace", "x (SHA-256 " + "0" * 21 + ")"), ("n", "1" * 20)))])

    assert text.count("<td class=long>") == 1
    assert "<td>11111111111111111111</td>" in text
    assert "td.long" in text
