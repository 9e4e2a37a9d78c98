"""Settings of deploy: names, limits, defaults."""

import pytest

from deploy.config import DEVELOPMENT_SECRET, Config, SettingsError, load, table


def test_an_empty_environment_gives_the_defaults() -> None:
    """Without settings a stack runs with the public development secret."""
    assert load({}).auth_secret == DEVELOPMENT_SECRET


def test_values_are_read_and_converted() -> None:
    """Each setting comes from the name that the table shows."""
    found = load({"SNAPSURGE_AUTH_SECRET": "s" * 32, "SNAPSURGE_DEPLOY_START_S": "7", "SNAPSURGE_DEPLOY_STOP_S": "2.5"})

    assert found == Config(auth_secret="s" * 32, start_s=7.0, stop_s=2.5)


@pytest.mark.parametrize(
    "environ",
    [
        {"SNAPSURGE_DEPLOY_STRAT_S": "7"},
        {"SNAPSURGE_INJEST_LISTEN": "x"},
        {"SNAPSURGE_STORE": "file:///x"},
        {"SNAPSURGE_AUTH_SECRET": "short"},
        {"SNAPSURGE_DEPLOY_START_S": "0"},
        {"SNAPSURGE_DEPLOY_START_S": "soon"},
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(environ: dict[str, str]) -> None:
    """A misspelt name or an impossible value is an error of one line."""
    with pytest.raises(SettingsError, match="setting") as refused:
        load(environ)
    assert "\n" not in str(refused.value)


def test_settings_of_the_other_programs_pass() -> None:
    """Names of another tier, and the shared ones, are not ours to judge."""
    assert load({"SNAPSURGE_LB_DRAIN_S": "3", "SNAPSURGE_REDIS_URL": "x", "SNAPSURGE_QUEUE_URLS": "y", "HOME": "/"})


def test_the_table_shows_every_setting_but_not_the_secret() -> None:
    """`--help` lists what can be set."""
    shown = table()

    assert shown.count("SNAPSURGE_") == len(Config.__struct_fields__)
    assert DEVELOPMENT_SECRET not in shown
