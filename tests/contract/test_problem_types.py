"""One failure, one name: the problem `type` of a code is the same from the balancer and from a node."""

import importlib
import json
from pathlib import Path

import pytest

from ingest.errors import CODES, Refusal

ROOT = Path(__file__).resolve().parents[2]
LB = importlib.import_module(".".join(next(ROOT.glob("lb/**/errors.py")).relative_to(ROOT).with_suffix("").parts))
BOTH = sorted(CODES.keys() & LB.PROBLEMS.keys())


def test_there_are_codes_of_both() -> None:
    """Else the test below would compare nothing."""
    assert {"bad-request", "too-slow", "too-large", "overloaded"} <= set(BOTH)


@pytest.mark.parametrize("code", BOTH)
def test_a_code_has_one_type_and_one_status(code: str) -> None:
    """Whoever wrote the answer."""
    balancers = json.loads(LB.problem(code, b"id").partition(b"\r\n\r\n")[2])
    nodes = Refusal(code, "detail").problem("id")

    assert (balancers["type"], balancers["status"]) == (nodes.type, nodes.status)
