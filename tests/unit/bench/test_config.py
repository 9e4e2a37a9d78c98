"""The settings of bench: defaults, ranges, and errors in one line."""

import pytest

from bench import config
from bench.config import DEVELOPMENT_SECRET, ConfigError


def test_an_empty_environment_gives_the_defaults() -> None:
    """Nothing has to be set."""
    found = config.load({})

    assert found.attempts_max == 6
    assert found.auth_secret == DEVELOPMENT_SECRET


def test_values_come_from_the_environment_as_numbers() -> None:
    """Names are the field's with the tier before it; the secret is shared."""
    found = config.load({"SNAPSURGE_BENCH_ATTEMPTS_MAX": "2", "SNAPSURGE_AUTH_SECRET": "s", "PATH": "/bin"})

    assert (found.attempts_max, found.auth_secret) == (2, "s")


def test_names_of_other_tiers_are_left_to_them() -> None:
    """The environment is the whole stack's."""
    config.load({"SNAPSURGE_LB_ANYTHING": "1", "SNAPSURGE_REDIS_URL": "redis://"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SNAPSURGE_BENCH_ATEMPTS_MAX", "2"),
        ("SNAPSURGE_BENHC_REGION", "eu"),
        ("SNAPSURGE_BENCH_ATTEMPTS_MAX", "0"),
        ("SNAPSURGE_BENCH_ATTEMPTS_MAX", "many"),
    ],
)
def test_a_bad_name_or_value_is_one_line_that_names_it(name: str, value: str) -> None:
    """Nothing misspelt is ignored."""
    with pytest.raises(ConfigError, match=name) as caught:
        config.load({name: value})

    assert "\n" not in str(caught.value)


def test_the_help_table_names_every_setting() -> None:
    """Each with its default and meaning."""
    table = config.table()

    assert "SNAPSURGE_BENCH_READY_TIMEOUT_S=300.0\n" in table
    assert DEVELOPMENT_SECRET not in table
