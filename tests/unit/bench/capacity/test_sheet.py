"""A plan as text."""

import msgspec

from bench.capacity.plan import plan
from bench.capacity.prices import Price, Prices
from bench.capacity.sensitivity import Effect
from bench.capacity.sheet import number, quotas, table
from tests.unit.bench.capacity.measured import AIMS, COSTS, case

INPUTS = msgspec.to_builtins(AIMS)


def test_figures_have_three_digits() -> None:
    """And commas from a thousand on."""
    assert [number(value) for value in (0, 9.99e-4, 0.001, 0.01234, 1.5, 99.94, 100.4, 12345.6)] == [
        "0",
        "<0.001",
        "0.001",
        "0.0123",
        "1.5",
        "99.9",
        "100",
        "12,346",
    ]


def test_a_table_says_everything() -> None:
    """Burst, tiers, what binds, ladder, sensitivities; that money has no prices."""
    text = "\n".join(table(plan(case()), [Effect(input="pairs", percent=10.0)]))
    for words in (
        "10,000 pairs of 1,000 KB",
        "balancer",
        "1 shards, each",
        "what binds first",
        "worker     -",
        "+10.0 %",
    ):
        assert words in text
    assert "no prices were given" in text
    assert "of the given machines" not in text
    assert "times this burst fits" in text


def test_a_fleet_that_cannot_keep_itself_is_said_to_be_one() -> None:
    """No multiple of a burst is one that fits."""
    beating = msgspec.structs.replace(case(), costs=msgspec.structs.replace(COSTS, heartbeat_cores=0.1))
    text = "\n".join(table(plan(beating), []))
    assert "planned machines: nothing fits, too little for redis heartbeats at the main Redis" in text


def test_a_fleet_and_prices_are_in_the_table_when_given() -> None:
    """With the sources of the prices."""
    planned = plan(case())
    lines = {"node_machine_hour": Price(price=2.0, source="https://example.org", date="2026-11-30")}
    priced = msgspec.structs.replace(case(), prices=Prices(currency="EUR", lines=lines))
    text = "\n".join(table(plan(priced, planned.hosts), []))
    assert "half as much again" in text
    assert "(https://example.org, 2026-11-30)" in text
    assert "not priced: lb_machine_hour" in text


def test_quotas_ask_for_cores_requests_and_pushes() -> None:
    """Pushes only where the number of users is known."""
    made = plan(case())
    assert "| node: vCPUs | 12 | 4 a machine |" in quotas(made, INPUTS)
    assert "push service" not in quotas(made, INPUTS)
    assert "| push service: messages/s | 2,000 |" in quotas(made, INPUTS | {"users": 20_000, "push_s": 10.0})
