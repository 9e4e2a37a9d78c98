"""Prices as a file with sources, and the bill."""

import json
from pathlib import Path
from typing import Any

import pytest

from bench.capacity import prices
from bench.capacity.prices import ITEMS, MONTH_DAYS, Price, Prices, PricesError, money, read

TEMPLATE = Path(prices.__file__).with_name("prices.template.json")
LINE = {"price": 0.5, "source": "https://example.org/prices", "date": "2026-11-30"}


def written(folder: Path, lines: dict[str, Any]) -> Path:
    """A file of prices."""
    path = folder / "prices.json"
    path.write_text(json.dumps({"currency": "EUR", "lines": lines}))
    return path


def test_the_template_names_every_item_and_is_refused_as_it_is() -> None:
    """Nobody plans with prices that nobody looked up."""
    assert json.loads(TEMPLATE.read_text())["lines"].keys() == ITEMS.keys()
    with pytest.raises(PricesError, match="to be filled in first: currency, lb_machine_hour, node_machine_hour"):
        read(TEMPLATE)


def test_a_line_that_is_left_is_named(tmp_path: Path) -> None:
    """The others are fine."""
    left = {"price": 1, "source": "FILL IN: address of the page", "date": "2026-11-30"}
    with pytest.raises(PricesError, match=r"first: store_put_1000$"):
        read(written(tmp_path, {"lb_machine_hour": LINE, "store_put_1000": left}))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"source": " "}, "node_machine_hour has no source"),
        ({"date": "30.11.2026"}, "no date of the form"),
        ({"date": "20261130"}, "no date of the form"),
        ({"date": "2026-02-30"}, "no date of the form"),
        ({"price": -1}, ">= 0"),
        ({"extra": 1}, "unknown field"),
    ],
)
def test_a_price_has_a_source_and_a_date(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    """Each line, and nothing else."""
    with pytest.raises(PricesError, match=said):
        read(written(tmp_path, {"node_machine_hour": LINE | change}))


def test_an_item_that_nothing_uses_is_named(tmp_path: Path) -> None:
    """A misspelt price would be no price."""
    with pytest.raises(PricesError, match="node_hour: unknown"):
        read(written(tmp_path, {"node_hour": LINE}))


@pytest.mark.parametrize("text", ["", "[]", "{", '{"lines": 3}'])
def test_a_file_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    """With its name; so is one that is not there."""
    path = tmp_path / "prices.json"
    with pytest.raises(PricesError, match="No such file"):
        read(path)
    path.write_text(text)
    with pytest.raises(PricesError, match=r"prices\.json"):
        read(path)


def test_a_bill_is_quantity_times_price(tmp_path: Path) -> None:
    """3 h at 0.5 and no price for requests; two moments a day."""
    found = money(
        {"node_machine_hour": 3.0, "store_put_1000": 7.0}, read(written(tmp_path, {"node_machine_hour": LINE})), 2
    )
    assert found.moment == 1.5
    assert found.month == pytest.approx(1.5 * 2 * MONTH_DAYS)
    assert found.not_priced == ("store_put_1000",)
    assert (found.lines[0].source, found.lines[0].date) == (LINE["source"], LINE["date"])


def test_without_prices_nothing_is_priced() -> None:
    """None is built in."""
    assert money({"node_machine_hour": 3.0}, None, 1).moment is None
    free = Prices(currency="EUR", lines={"node_machine_hour": Price(price=0.0, source="ours", date="2026-11-30")})
    assert money({"node_machine_hour": 3.0}, free, 1).moment == 0.0


@pytest.mark.parametrize(
    ("currency", "said"), [("FILL IN", "to be filled in first: currency$"), (" ", "there is no currency")]
)
def test_prices_have_a_currency(tmp_path: Path, currency: str, said: str) -> None:
    """A number alone is no price."""
    path = written(tmp_path, {"node_machine_hour": LINE})
    path.write_text(path.read_text().replace("EUR", currency))
    with pytest.raises(PricesError, match=said):
        read(path)
