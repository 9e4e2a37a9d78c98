"""What is wrong, in words; of programs, queue and counts see test_tiers.py and test_events.py."""

import pytest

from tests.unit.deploy.watching.pages import balancer, node
from tests.unit.deploy.watching.test_flows import after


@pytest.mark.parametrize(("shed", "problems"), [(0, []), (37, ["shedding: 18.5 of 28.5 uploads a second are refused"])])
def test_shedding_is_a_problem_with_its_numbers(shed: int, problems: list[str]) -> None:
    """As long as it lasts; all well is said of no stack that refuses uploads."""
    found = after(
        {"node": node(), "balancer": balancer()}, {"node": node(accepted=20), "balancer": balancer(given=shed)}
    )
    assert [one for one in found.problems if "shedding" in one] == problems
