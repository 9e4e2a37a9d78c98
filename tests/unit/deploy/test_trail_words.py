"""A trail as people read it."""

from deploy.trail import Line, Trail, Try
from deploy.trail_words import WIDTH, waterfall, words

HISTORY = {
    "state": "ready", "run": 2, "received_at": "2026-01-01T00:00:00.000Z", "work_ms": 500, "wait_ms": 500,
    "steps": [
        {"name": "retry", "kind": "wait", "where": "", "from_ms": 0, "to_ms": 500},
        {"name": "receive", "kind": "work", "where": "a", "from_ms": 500, "to_ms": 999},
        {"name": "commit", "kind": "work", "where": "a", "from_ms": 999, "to_ms": 1000},
    ],
}  # fmt: skip


def test_the_waterfall_is_in_proportion() -> None:
    """Half of it a wait, half work; a step of a millisecond still has a mark, and none leaves its column."""
    head, *steps = waterfall(HISTORY)

    assert "run 2" in head
    assert "work 500 ms, waits 500 ms" in head
    bars = [line.split("|")[1] for line in steps]
    assert {len(bar) for bar in bars} == {WIDTH}
    assert bars[0] == "." * (WIDTH // 2) + " " * (WIDTH // 2)
    assert bars[2] == " " * (WIDTH - 1) + "#"
    assert "the stored pair cannot be read" in waterfall({**HISTORY, "damaged": True})[0]
    assert "cannot be read" not in head
    assert waterfall({**HISTORY, "steps": [], "run": 0})[0].count("not rendered yet") == 1


def test_tries_lines_and_what_is_missing_are_told() -> None:
    """In one text."""
    lines = [
        Line(
            "t1", "lb-1.access.log", {"method": "POST", "path": "/p", "status": 503, "node": "", "ms": 1, "weight": 7}
        ),
        Line(
            "t2",
            "node-a.log",
            {"level": "info", "text": "1 upload attempts finished", "tries": [["r1", "p", "overloaded", 1]]},
        ),
    ]
    text = words(Trail("r1", "p", [Try("r1", "overloaded", "t2", "node-a")], HISTORY, lines, ["why"]))

    for part in (
        "r1: post p",
        "try 1",
        "POST /p 503 at no node in 1 ms, one of 7",
        "; r1 overloaded",
        "not known: why",
    ):
        assert part in text
    assert "no post is known" in words(Trail("r1", "", [], None, [], []))


def test_what_lines_quote_begins_no_line_and_moves_no_cursor() -> None:
    """Of a client's text, in a log line that was written as JSON."""
    line = Line("t1", "node-a.log", {"level": "info", "text": "a\n  try 9 \x1b[2J \x9b1A"})

    text = words(Trail("r1", "p", [], None, [line], []))

    assert text.splitlines()[1].endswith(r"info a\x0a  try 9 \x1b[2J \x9b1A")
    assert len(text.splitlines()) == 2
