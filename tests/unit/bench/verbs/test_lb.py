"""The command line of the balancers' contest."""

from bench.__main__ import parser
from bench.command import RESULTS


def test_the_table_goes_to_the_results() -> None:
    """Unless another file is named."""
    assert parser().parse_args(["lb"]).out == RESULTS / "lb.json"
    assert parser().parse_args(["lb", "--quick", "--out", "x.json"]).quick
