"""The simulation's settings have the defaults of the programs."""

import pytest

import ingest.config
import lb.config
import processors.config
from bench.simulation.fleet import FleetError
from bench.simulation.settings import DEFAULTS, RING_SEED, RING_SEED_DEFAULT, Settings


def default(name: str) -> object:
    """The program's own default of a setting."""
    tier, _, field = name.removeprefix("SNAPSURGE_").lower().partition("_")
    config = {"lb": lb.config.Config, "ingest": ingest.config.Config, "processors": processors.config.Config}[tier]
    return config.__struct_defaults__[config.__struct_fields__.index(field) - len(config.__struct_fields__)]


@pytest.mark.parametrize("name", [*DEFAULTS, RING_SEED])
def test_every_default_is_the_programs_own(name: str) -> None:
    """A copied number that goes stale would make the simulation wrong without a word."""
    assert default(name) == (DEFAULTS | {RING_SEED: RING_SEED_DEFAULT})[name]


def test_a_fleets_settings_replace_defaults() -> None:
    """What the simulation does not look at is named."""
    settings = Settings({"SNAPSURGE_LB_BOUND_PERCENT": "150", "SNAPSURGE_STORAGE_X": "1", RING_SEED: "other"})
    assert settings.whole("LB_BOUND_PERCENT") == 150
    assert settings.of("INGEST_COMMIT_WAIT_S") == 20.0
    assert (settings.unused, settings.seed) == (("SNAPSURGE_STORAGE_X",), b"other")


@pytest.mark.parametrize("value", ["much", "inf", "nan"])
def test_a_setting_that_is_no_number_is_refused(value: str) -> None:
    """The text names it."""
    with pytest.raises(FleetError, match=f"BOUND_PERCENT={value}"):
        Settings({"SNAPSURGE_LB_BOUND_PERCENT": value})
