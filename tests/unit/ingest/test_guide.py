"""The pages for who writes an app: every error has its paragraph, every limit the number that the node enforces."""

import re
from html.parser import HTMLParser
from typing import Any

import pytest

from ingest import guide
from ingest.config import Config
from ingest.errors import CODES, TYPES, Refusal
from ingest.views import SIZES, PostView
from lb.http1.errors import PROBLEMS, problem
from storage.records import SIDES

FACTS = guide.facts(Config(auth_secret="x" * 32))
PAGES = {name: page.decode() for name, page in guide.pages(FACTS).items()}


class Reader(HTMLParser):
    """What a page has: ids, links, and whether its elements are closed in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Remember it."""
        self.ids += [value for name, value in attrs if name == "id" and value]
        self.links += [value for name, value in attrs if name == "href" and value]
        if tag not in {"meta", "link"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """It closes the last one that is open."""
        assert self.open.pop() == tag, self.getpos()


READ = {name: Reader(page) for name, page in PAGES.items()}


def status_of(code: str) -> set[int]:
    """The statuses of a code at node and balancer."""
    node = {CODES[code][0].value} if code in CODES else set()
    return node | ({PROBLEMS[code].status} if code in PROBLEMS else set())


@pytest.mark.parametrize("code", sorted(CODES.keys() | PROBLEMS.keys()))
def test_the_type_of_every_error_leads_to_its_paragraph(code: str) -> None:
    """Of the node and of the balancer, under the right status; some have the type of a draft."""
    kinds = {Refusal(code, "x").problem("r").type} if code in CODES and code not in TYPES else set()
    if code in PROBLEMS:
        kinds |= set(re.findall(r'"type":"([^"]+)"', problem(code, b"r").decode()))
    assert kinds == (set() if code in TYPES else {f"/docs/problems#{code}"})
    found = re.findall(rf'<h2 id="{code}"><code>{code}</code> <small>(\d+)</small></h2>\n<p>\w', PAGES["problems"])
    assert {int(status) for status in found} == status_of(code)
    assert len(found) == 1


def test_no_paragraph_is_about_an_error_that_there_is_not() -> None:
    """A code that was removed takes its paragraph along."""
    assert set(READ["problems"].ids) == CODES.keys() | PROBLEMS.keys()


@pytest.mark.parametrize("name", PAGES)
def test_pages_are_well_formed_and_their_links_lead_somewhere(name: str) -> None:
    """Elements are closed in order, ids are unique, and an address of ours is a page, with the anchor that it names."""
    read = READ[name]
    assert read.open == []
    assert len(set(read.ids)) == len(read.ids)
    for link in read.links:
        page, _, anchor = link.partition("#")
        if page.startswith(("http", "data:")) or page in {"/docs", "/docs/pages.css", "/openapi.json"}:
            continue
        target = READ[page.removeprefix("/docs/")] if page else read
        assert not anchor or anchor in target.ids, link


def test_limits_are_those_of_the_settings() -> None:
    """A node with other settings shows other numbers, and no page has a placeholder left."""
    other = Config(auth_secret="x" * 32, photo_bytes_max=7_000_001, user_uploads_burst=77, body_rate_min_bytes_s=3333)
    text = guide.pages(guide.facts(other))["guide"].decode()
    for number in ("7,000,001", "77 in 60 s", "3,333 bytes/s", f"{other.body_bytes_max:,}"):
        assert number in text
        assert number not in PAGES["guide"]
    assert not re.search(r"\$\w", PAGES["guide"] + PAGES["problems"])
    assert "WebP 39" in PAGES["guide"]


def test_a_page_with_an_unknown_fact_is_an_error() -> None:
    """At start, not when somebody reads it."""
    with pytest.raises(KeyError):
        guide.pages({})


def test_every_field_and_link_of_a_post_is_explained() -> None:
    """In the guide, each by its name."""
    named: set[str] = set(re.findall(r"<code>([\w-]+)</code>", PAGES["guide"]))
    pictures = {f"{side}-{size}" for side in SIDES for size in SIZES} | {"composite"}
    fields: Any = PostView.__struct_fields__
    assert {*fields, *pictures, "self", "moment"} - named == set()


def test_every_recipe_is_shown_whole() -> None:
    """Each file of the folder, escaped, under its anchor."""
    folder = guide._HERE / "recipes"
    assert {path.name for path in folder.iterdir() if path.is_file()} == guide.RECIPES.keys()
    for file in guide.RECIPES:
        program = (folder / file).read_text().replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        assert f"<pre><code>{program}</code></pre>" in PAGES["recipes"]
        assert file.partition(".")[0] in READ["recipes"].ids
        assert "Snapsurge-Ticket" in program
        assert "wait" in program
        assert re.search(r"408\D+429\D+502\D+503\D+504\D+507", program)


def test_the_style_sheet_is_there() -> None:
    """And loads nothing."""
    assert b"main {" in guide.style()
    assert b"url(" not in guide.style()
