"""Prices as a file, each line with its source and date, and what a burst costs by them.

{"currency": "USD", "lines": {"node_machine_hour": {"price": 0.5, "source": "https://…", "date": "2026-11-30"}, …}}

`prices.template.json` names all lines and is refused until it is filled in.
"""

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from ..errors import BenchError
from ..files import read_json

TO_FILL: Final = "FILL IN"
DAY_H: Final = 24.0
MONTH_DAYS: Final = 365 / 12
ITEMS: Final = {
    "lb_machine_hour": "a machine of balancers",
    "node_machine_hour": "a machine of nodes",
    "worker_machine_hour": "a machine of workers",
    "redis_machine_hour": "a machine of Redis",
    "store_machine_hour": "a machine of a store of our own",
    "store_put_1000": "1,000 PUT requests",
    "store_get_1000": "1,000 GET requests",
    "store_gb_month": "a GB stored for a month",
    "traffic_out_gb": "a GB sent to phones",
}


class PricesError(BenchError):
    """The file of prices cannot be used; the text names each line and what it lacks."""


class Price(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A price, where it stands, and when it was read there."""

    price: Annotated[float, Meta(ge=0)]
    source: str
    date: str


class Prices(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All prices, by the name of the item."""

    currency: str
    lines: dict[str, Price]


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the bill of a moment."""

    item: str
    quantity: float
    price: float
    amount: float
    source: str
    date: str


class Money(msgspec.Struct, frozen=True, kw_only=True):
    """The bill of one moment, of a month of them, and what has no price. Without prices nothing is priced."""

    currency: str = ""
    moment: float | None = None
    month: float | None = None
    lines: tuple[Cost, ...] = ()
    # No price is built in: what has no line is listed as not priced.
    not_priced: tuple[str, ...] = tuple(ITEMS)


def read(path: Path) -> Prices:
    """The prices in a file; PricesError says which line has no price, source or date."""
    # Before the types are checked: the template's words would be a type error, which does not say what to do.
    unfilled = _unfilled(read_json(path, Any, "file of prices", PricesError))
    if unfilled:
        raise PricesError(f"{path}: to be filled in first: {', '.join(unfilled)}")
    found = read_json(path, Prices, "file of prices", PricesError)
    wrong = [] if found.currency.strip() else ["there is no currency"]
    wrong += [problem for name, line in found.lines.items() for problem in _problems(name, line)]
    if wrong:
        raise PricesError(f"{path}: {'; '.join(wrong)}")
    return found


def _unfilled(found: Any) -> list[str]:  # noqa: ANN401 - any JSON
    """What still has the template's words; nothing where there are no lines, which is told elsewhere."""
    try:
        named = {"currency": found["currency"], **found["lines"]}
    except (TypeError, KeyError):
        return []
    return [name for name, line in named.items() if TO_FILL in str(line) or (not line and name in found["lines"])]


def _problems(name: str, line: Price) -> list[str]:
    wrong = []
    if name not in ITEMS:
        wrong.append(f"{name}: unknown, known are {', '.join(ITEMS)}")
    if not line.source.strip():
        wrong.append(f"{name} has no source")
    try:
        dated = dt.date.fromisoformat(line.date).isoformat() == line.date
    except ValueError:
        dated = False
    if not dated:
        wrong.append(f"{name} has no date of the form YYYY-MM-DD: {line.date!r}")
    return wrong


def money(quantities: Mapping[str, float], prices: Prices | None, moments_a_day: float) -> Money:
    """The bill: quantity times price for each item that has a price; a month is 365/12 days."""
    if prices is None:
        return Money()
    lines = tuple(
        Cost(
            item=item,
            quantity=quantities[item],
            price=line.price,
            amount=quantities[item] * line.price,
            source=line.source,
            date=line.date,
        )
        for item, line in prices.lines.items()
        if item in quantities
    )
    moment = sum(line.amount for line in lines)
    return Money(
        currency=prices.currency,
        moment=moment,
        month=moment * moments_a_day * MONTH_DAYS,
        lines=lines,
        not_priced=tuple(item for item in quantities if item not in prices.lines),
    )
