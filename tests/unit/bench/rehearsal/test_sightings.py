"""bench.rehearsal.sightings: the metric that saw a fault first, and when the stack had recovered."""

import pytest

from bench.rehearsal.scrapes import UP, Scrape
from bench.rehearsal.sightings import CONTROL_MIN, errors_a_second, moved, recovered_s, series, sighted

ERRORS = "errors_total"
AGE, PANIC = "snapsurge_queue_oldest_seconds", "snapsurge_lb_panic"  # trouble raises both
Values = dict[tuple[str, str], float]


def scrapes(*values: Values, begin: float = 0.0) -> list[Scrape]:
    """One a second."""
    return [Scrape(begin + number, one) for number, one in enumerate(values)]


def steady(name: str, *levels: float) -> list[Scrape]:
    """A gauge of one program."""
    return scrapes(*({("a", name): level} for level in levels))


def test_counters_become_rates_and_histograms_means() -> None:
    """A gauge stays; a counter that falls was restarted; a second without observations has no mean."""
    found = series(
        scrapes(
            {("a", "g"): 5, ("a", "c_total{s=5xx}"): 10, ("a", "h_sum{k=v}"): 1.0, ("a", "h_count{k=v}"): 2},
            {("a", "g"): 7, ("a", "c_total{s=5xx}"): 13, ("a", "h_sum{k=v}"): 4.0, ("a", "h_count{k=v}"): 4},
            {("a", "g"): 8, ("a", "c_total{s=5xx}"): 2, ("a", "h_sum{k=v}"): 4.0, ("a", "h_count{k=v}"): 4},
        )
    )
    assert found["a", "g"] == {1.0: 7, 2.0: 8}
    assert found["a", "c_total{s=5xx}"] == {1.0: 3.0, 2.0: 2.0}
    assert found["a", "mean of h{k=v}"] == {1.0: 1.5}


@pytest.mark.parametrize(
    ("name", "after", "seen"),
    [
        (AGE, (3.0, 3.0), False),
        (AGE, (3.0, 3.1), True),  # constant before: any change counts
        (AGE, (3.0, 2.0), False),  # less of it is no trouble
        ("snapsurge_workers", (3.0, 2.0), True),
        ("snapsurge_workers", (3.0, 4.0), False),
        ("snapsurge_lb_in_flight", (3.0, 9.0), False),  # moves with every burst
        ("snapsurge_lb_node_answer_seconds{node=a}", (3.0, 9.0), True),
    ],
)
def test_a_metric_of_trouble_moves_in_the_direction_of_trouble(name: str, after: tuple[float, ...], seen: bool) -> None:  # noqa: FBT001
    """Nothing else saw a fault."""
    found = moved(series(steady(name, *[3.0] * 8, *after)), began=8.0, until=9.0)

    assert [one.after_s for one in found] == ([1.0] if seen else [])


@pytest.mark.parametrize(("name", "value", "seen"), [
    (AGE, 18.8, False), (AGE, 19.0, True), ("workers", 3.1, False), ("workers", 2.9, True),
])  # fmt: skip
def test_a_series_that_moved_has_a_wider_band(name: str, value: float, seen: bool) -> None:  # noqa: FBT001
    """It was between 6 and 12.6 before: half of its least and one and a half of its most are usual."""
    found = moved(series(steady(name, 6, 6, 12.6, 8, 9, 10, value)), began=6.0, until=7.0)

    assert bool(found) is seen


def test_too_few_control_seconds_say_nothing() -> None:
    """The first scrape only begins rates, so it is no control."""
    levels = [1.0] * (CONTROL_MIN + 1)
    assert moved(series(steady(AGE, *levels, 2.0)), began=len(levels), until=9.0)
    assert not moved(series(steady(AGE, *levels[1:], 2.0)), began=len(levels) - 1, until=9.0)


def test_a_counter_that_appears_with_its_first_event_was_at_nothing() -> None:
    """As `snapsurge_store_failures_total`, which has no series before a store fails; not where a program was down."""
    failed = {("a", UP): 1.0, ("a", "snapsurge_store_failures_total{cause=x}"): 2.0}
    for answered, seen in ((1.0, ["snapsurge_store_failures_total{cause=x}"]), (0.0, [])):
        found = moved(series(scrapes(*[{("a", UP): answered}] * 8, failed, failed)), began=8.0, until=9.0)
        assert [one.metric for one in found] == seen


def test_what_moves_without_the_fault_too_saw_nothing() -> None:
    """The calm run is judged at the same second after its moment, whenever it ran."""
    fault = scrapes(*[{("a", AGE): 1, ("a", PANIC): 0}] * 8, {("a", AGE): 9, ("a", PANIC): 0},
                    {("a", AGE): 9, ("a", PANIC): 1})  # fmt: skip
    calm = scrapes(*[{("a", AGE): 1, ("a", PANIC): 0}] * 8, *[{("a", AGE): 9, ("a", PANIC): 0}] * 2, begin=500)

    assert [one.metric for one in sighted(fault, 8.0, 9.0, fault[:8], 8.0)] == [AGE, PANIC]
    assert [one.metric for one in sighted(fault, 8.0, 9.0, calm, 508.0)] == [PANIC]


def test_the_first_and_clearest_comes_first() -> None:
    """Earlier before later; in the same second whether a program answers, then what was constant."""
    before = {("a", UP): 1.0, ("a", AGE): 1.0, ("a", PANIC): 0.0, ("b", "oldest_s"): 0.0}
    moving = [{**before, ("a", AGE): 1.0 + number % 2} for number in range(8)]
    found = sighted(
        scrapes(*moving, {("a", UP): 0.0, ("a", AGE): 50.0, ("a", PANIC): 1.0, ("b", "oldest_s"): 0.0},
                {("a", UP): 0.0, ("b", "oldest_s"): 1.0}),
        8.0, 9.0, [], 0.0,
    )  # fmt: skip
    assert [one.metric for one in found] == [UP, PANIC, AGE, "oldest_s"]
    assert found[0].words == "up of a"
    assert [one.after_s for one in found] == [0.0, 0.0, 0.0, 1.0]


def run(up: str, errors: str = "") -> list[Scrape]:
    """A second a character: whether `a` answers (1 or 0), and how many errors came in it."""
    total, made = 0.0, []
    for number, answers in enumerate(up):
        total += int(errors[number]) if errors else 0
        made.append(Scrape(float(number), {("a", UP): float(answers), ("lb", ERRORS): total}))
    return made


@pytest.mark.parametrize(
    ("up", "errors", "most", "recovery"),
    [
        ("1111111111", "", 0, 2.0),  # nothing was ever bad: until the fault ended
        ("1111100111", "", 0, 3.0),
        ("1111111111", "0000030100", 0, 4.0),
        ("1111111111", "0000030100", 1, 2.0),  # one error a second is usual
        ("1111100000", "", 0, None),
        ("0000000000", "", 0, 2.0),  # it did not answer before the fault either
        ("111110010111111", "", 0, 5.0),  # it answered once and was busy again
        ("111110011111101", "", 0, 3.0),  # long after, something else happened
    ],
)
def test_recovery_is_after_the_last_bad_second(up: str, errors: str, most: float, recovery: float | None) -> None:
    """The fault lasts from second 4 to second 6."""
    assert recovered_s(run(up, errors), 4.0, 6.0, ERRORS, most) == recovery


def test_the_errors_of_all_programs_count_together() -> None:
    """In the same second."""
    found = [Scrape(0.0, {("x", ERRORS): 0, ("y", ERRORS): 5}), Scrape(1.0, {("x", ERRORS): 2, ("y", ERRORS): 6})]

    assert errors_a_second(found, ERRORS) == 3.0
    assert errors_a_second([], ERRORS) == 0.0
