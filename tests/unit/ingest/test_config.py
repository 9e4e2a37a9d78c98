"""The node's settings: defaults, names, relations."""

import pytest

from ingest import config
from storage.settings import SettingsError

SECRET = {"SNAPSURGE_AUTH_SECRET": "x" * 16}


def test_the_secret_is_all_that_is_required() -> None:
    """Everything else has a default; two photos and the meta fit one body."""
    made = config.load(SECRET)

    assert made.photo_bytes_max == 10 * 1024 * 1024
    assert 2 * made.photo_bytes_max + made.meta_bytes_max < made.body_bytes_max


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"SNAPSURGE_AUTH_SECRET": "short"},
        SECRET | {"SNAPSURGE_INGEST_PHOTO_BYTES": "1"},
        SECRET | {"SNAPSURGE_INGST_DRAIN_S": "1"},
        SECRET | {"SNAPSURGE_INGEST_DRAIN_S": "soon"},
        SECRET | {"SNAPSURGE_INGEST_DRAIN_S": "0"},
        SECRET | {"SNAPSURGE_INGEST_IN_FLIGHT_BYTES_MAX": "1000"},
        SECRET | {"SNAPSURGE_INGEST_PHOTO_SIDE_PX_MIN": "13000"},
    ],
)
def test_what_is_wrong_is_named(wrong: dict[str, str]) -> None:
    """Missing, short, unknown, misspelt tier, no number, out of range, and limits that do not fit each other."""
    with pytest.raises(SettingsError):
        config.load(wrong)


def test_other_tiers_names_are_theirs() -> None:
    """One environment serves all programs."""
    assert config.load(SECRET | {"SNAPSURGE_LB_WHATEVER": "1", "SNAPSURGE_STORE_URL": "file:///x"}).drain_s == 30
