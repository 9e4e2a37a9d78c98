"""The table and the picture of the overload bench, from phases made by hand."""

from xml.etree import ElementTree as ET

import pytest

from bench.outcome import Attempt, Outcome
from bench.overload.rows import Phase, Sample, chart, rows
from bench.rows import Row


def phase(times: float, goodput: int, *, shed: int = 0, slow: bool = False, after_s: float = 0.0) -> Phase:
    """Ten seconds with so many accepted and shed in each; each accepted pair cost 2 ms at the node, each shed 0.5."""
    seconds = 10.0 + after_s
    made = Phase(times=times, slow=slow, capacity=20.0, seconds=10.0, after_s=after_s, began=100.0)
    for second in range(int(seconds)):
        for number in range(goodput):
            at = 100.0 + second + (number + 0.5) / goodput
            attempts = Attempt(at - 2.0, at - 1.9, 503, ticket=True), Attempt(at - 0.1, at, 201)
            made.accept(Outcome(user="u", intended=at - 2.0, attempts=attempts))
        made.shed += [100.0 + second] * shed
        made.arrived += [100.0 + second] * goodput
    accepted, refused = len(made.accepted), len(made.shed)
    spent = 0.002 * accepted + 0.0005 * refused
    made.samples += [Sample(0, 1.0, 1.0, 0, 0), Sample(2**25, 1.0 + spent, 1.0 + spent / 2, accepted, refused)]
    return made


PHASES = (
    phase(1, 20, shed=1),
    phase(2, 21, shed=20),
    phase(10, 20, shed=180, after_s=10.0),
    phase(10, 17, shed=5, slow=True),
)
FOUND = {row.case: row for row in rows(PHASES)}


def test_goodput_is_judged_against_the_peak() -> None:
    """At ten times at least nine tenths; the slow store against its own capacity."""
    at_ten, slow = FOUND["goodput at 10x, at least"], FOUND["goodput at 10x, store at a tenth, at least"]

    assert (at_ten.ours, at_ten.ratio, at_ten.met) == (20.0, round(20 / 21, 4), True)
    assert (slow.ratio, slow.met) == (0.85, False)
    assert FOUND["goodput at 2x"].met is None


def test_a_slow_store_is_no_measure_of_the_others() -> None:
    """Neither for the peak nor for the price of a shed request."""
    found = {row.case: row for row in rows((*PHASES[:3], phase(10, 40, shed=5, slow=True)))}

    assert found["goodput at 10x, at least"].ratio == FOUND["goodput at 10x, at least"].ratio
    (base, _, most, slow), cost = (
        (*PHASES[:3], phase(10, 40, shed=5, slow=True)),
        "CPU of the node for one shed request",
    )
    slow.samples[-1] = Sample(0, 9.0, 9.0, 400, 50)
    assert {row.case: row for row in rows((base, most, slow))}[cost].ours == pytest.approx(0.5)


def test_a_phase_has_two_seconds_to_settle() -> None:
    """What was taken before does not count, and each pair counts in one second only."""
    begun = phase(10, 20)
    begun.accepted = [at for at in begun.accepted if at - begun.began >= 2]

    assert begun.steady == 20.0
    begun.accepted = [101.0, 102.0]
    assert [begun.goodput(first, first + 1) for first in (0, 1, 2)] == [0.0, 1.0, 1.0]


def test_one_wrongly_late_pair_is_a_miss_and_so_is_a_slow_recovery() -> None:
    """After the overload at least 95 % of what comes is taken."""
    bad = phase(10, 20, after_s=10.0)
    bad.wrongly_late = 1
    bad.accepted = [at for number, at in enumerate(bad.accepted) if at < 110.0 or number % 10]
    found = {row.case: row for row in rows([bad])}

    assert found["wrongly late at 10x"].met is False
    assert found["goodput 5 s after 10x, at least"].met is False


def test_recovery_memory_and_lateness_are_judged() -> None:
    """Half of what came after, RSS to the budget, and not one wrongly late."""
    assert FOUND["goodput 5 s after 10x, at least"].met
    assert FOUND["node's RSS over idle at 1x, to its budget of 32 MiB"] == Row(
        case="node's RSS over idle at 1x, to its budget of 32 MiB", unit="MiB", ours=32.0, ratio=1.0, aim=1, met=True
    )
    assert FOUND["wrongly late at 10x"].met


@pytest.mark.parametrize(("rss", "met"), [(2**25, True), (2**25 + 2**20, False)])
def test_a_node_keeps_to_its_budget(rss: int, met: bool) -> None:  # noqa: FBT001
    """To the byte it may use all of it; a mebibyte more is a miss, whenever it was."""
    used = phase(1, 20)
    used.samples += [Sample(rss, 2.0, 2.0, 0, 0), Sample(0, 2.0, 2.0, 0, 0)]

    judged = next(row for row in rows((used,)) if "over idle" in row.case)

    assert judged.met is met


@pytest.mark.parametrize(("lag_s", "met"), [(0.25, True), (0.26, False)])
def test_a_phase_whose_sender_lagged_is_void(lag_s: float, met: bool) -> None:  # noqa: FBT001
    """A quarter of a second is the most."""
    lagged = phase(1, 20)
    lagged.lag_s = lag_s
    found = {row.case: row for row in rows([lagged, phase(10, 20)])}

    assert found["sender behind its time at 1x, else the phase is void"].met is met


def test_latencies_are_of_the_accepted_try_and_of_the_whole() -> None:
    """The try took 100 ms, the phone waited two seconds."""
    assert FOUND["p99 of accepted tries at 1x"].ours == pytest.approx(100.0)
    assert FOUND["p99 from first try to accepted at 1x"].ours == pytest.approx(2000.0)


def test_a_shed_request_has_its_price() -> None:
    """Two equations in two prices."""
    assert FOUND["CPU of the node for one shed request"].ours == pytest.approx(0.5)
    assert FOUND["CPU of the lb for one shed request"].ours == pytest.approx(0.25)


def test_the_picture_has_a_panel_for_each_phase() -> None:
    """Well-formed, a bar for each second."""
    tree = ET.fromstring(chart(PHASES))  # noqa: S314 - our own text
    kinds = [element.tag.rpartition("}")[2] for element in tree]

    assert kinds.count("polyline") == len(PHASES)
    assert kinds.count("rect") == 1 + sum(int(each.seconds + each.after_s) for each in PHASES)
