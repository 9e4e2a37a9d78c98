"""The HTML file of a report: its verdict, tables and drawings, with the script that draws them inside.

Bokeh draws, because its script fits into a file of 2 MB (plotly's does not) and its figures keep their type size on a
narrow page, can be zoomed and tell values, which pictures made beforehand (matplotlib) do not. Colours of ink and paper
are CSS variables, which follow the reader's light or dark; a script hands them to the figures, and again whenever the
reader changes that. Data has one set of colours that is readable on both.
"""

from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Final

import msgspec
from bokeh.embed import components
from bokeh.resources import Resources

from ..errors import BenchError
from ..files import write
from .figures import Figure

BYTES_MAX: Final = 2_000_000
WIDE: Final = 6  # a table of more columns has the page's whole width
WORD: Final = 20  # characters of a word that may be broken at the end of a line
HERE: Final = files(__package__)


class Verdict(msgspec.Struct, frozen=True):
    """The first thing on the page: `good` is None when nobody can tell."""

    good: bool | None
    text: str


class Facts(msgspec.Struct, frozen=True):
    """A table: a head and rows of text; a row whose first cell is in `marked` is wrong or uncertain."""

    heading: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    marked: frozenset[str] = frozenset()
    note: str = ""


class Drawing(msgspec.Struct, frozen=True):
    """A figure with its heading and what to look for in it."""

    heading: str
    note: str
    figure: Figure


class PageTooBig(BenchError):
    """The page would be larger than a report may be; the text says by how much."""


def save(path: Path, text: str) -> None:
    """Write a page; PageTooBig when it is over `BYTES_MAX`."""
    content = text.encode()
    if len(content) > BYTES_MAX:
        raise PageTooBig(f"{path}: the page would have {len(content):,} bytes, at most {BYTES_MAX:,} are allowed")
    write(path, content)


def page(title: str, verdicts: Sequence[Verdict], parts: Iterable[Facts | Drawing]) -> str:
    """One HTML page with its scripts and styles inside: a title, verdicts, facts and drawings."""
    listed = list(parts)
    figures = {str(number): part.figure.model for number, part in enumerate(listed) if isinstance(part, Drawing)}
    script, divs = components(figures) if figures else ("", {})
    body = [_part(part, divs.get(str(number), "")) for number, part in enumerate(listed)]
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            f"<title>{escape(title)}</title>",
            f"<style>\n{_own('page.css')}</style>",
            Resources(mode="inline", components=["bokeh"]).render_js() if figures else "",
            "</head><body><main>",
            f"<h1>{escape(title)}</h1>",
            *(f'<p class="verdict {_class(one.good)}">{escape(one.text)}</p>' for one in verdicts),
            *body,
            "</main>",
            script,
            f"<script>\n{_own('page.js')}</script>" if figures else "",
            "</body></html>\n",
        ]
    )


def _own(name: str) -> str:
    return HERE.joinpath(name).read_text()


def _class(good: bool | None) -> str:  # noqa: FBT001 - the value of a verdict
    return {True: "good", False: "bad", None: "void"}[good]


def _part(part: Facts | Drawing, div: str) -> str:
    note = f'<p class="note">{escape(part.note)}</p>' if part.note else ""
    inside = _keys(part.figure) + div if isinstance(part, Drawing) else _table(part)
    wide = " class=wide" if isinstance(part, Facts) and len(part.head) > WIDE else ""
    return f"<section{wide}><h2>{escape(part.heading)}</h2>{note}{inside}</section>"


def _keys(figure: Figure) -> str:
    """The names of a drawing's colours."""
    named = (f'<li style="--key: {colour}">{escape(name)}</li>' for name, colour in figure.keys)
    return f'<ul class="keys">{"".join(named)}</ul>' if figure.keys else ""


def _cell(text: str) -> str:
    """A cell; a word that is wider than a phone's half, as a digest or a path, may be broken, a number never."""
    long = any(len(word) > WORD for word in text.split())
    return f"<td{' class=long' if long else ''}>{escape(text)}</td>"


def _table(facts: Facts) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in facts.head)
    rows = (
        f"<tr{' class=marked' if row[0] in facts.marked else ''}>" + "".join(map(_cell, row)) + "</tr>"
        for row in facts.rows
    )
    inside = f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody>"
    return f'<div class="table"><table>{inside}</table></div>'
