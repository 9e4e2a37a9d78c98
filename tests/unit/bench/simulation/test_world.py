"""The state begins as the objects that it stands for."""

import numpy as np

from bench.simulation.world import AWAY, NOBODY, USER, nodes_of, users_of
from ingest.admission import USUAL_BYTES, USUAL_S, Admission, Budget
from ingest.commits import Commits
from ingest.places import Place
from tests.unit.bench.simulation.simulated import play, poisson


def test_a_new_node_is_as_the_modules_make_it() -> None:
    """Every field of Commits and Admission that the record has."""
    budget = Budget(requests_max=5, bytes_max=100)
    nodes, usual = nodes_of(2, budget)
    for made in (Commits(), Admission(budget, Commits())):
        for name, value in vars(made).items():
            if name in (nodes.dtype.names or ()):
                assert (nodes[name] == value).all(), name
    assert (nodes["requests_max"][0], nodes["bytes_max"][1]) == (5, 100)
    assert usual["value"].tolist() == [[USUAL_S, USUAL_BYTES]] * 2


def test_a_users_record_is_a_place() -> None:
    """It has every value that the rules of a place read; breaks are not simulated, so nothing is parked."""
    names, of_parked = set(USER.names or ()), {"parked_at", "active_at", "active_bytes"}
    assert set(Place.__slots__) - of_parked - {"on_shed", "user"} <= names
    users = users_of(
        np.array([1.0]), np.array([9], np.int32), np.ones(1, np.float32), np.ones(1, np.uint32), np.ones(1, np.uint8)
    )
    assert (users["node"][0], users["link"][0], users["arrives"][0]) == (NOBODY, NOBODY, 1.0)
    assert users["gone"][0]


def test_everybody_is_away_at_first() -> None:
    """The counts add up from the beginning."""
    assert play(poisson(10, 7)).world.counts[AWAY] == 7
