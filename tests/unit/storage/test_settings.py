"""Settings from the environment: what is refused, what is left to others, what the table shows."""

from typing import Annotated

import msgspec
import pytest
from msgspec import Meta

from storage import settings


class Example(msgspec.Struct, frozen=True, kw_only=True, rename=lambda name: f"SNAPSURGE_INGEST_{name.upper()}"):
    """A tier's settings."""

    secret: Annotated[str, Meta(min_length=4, description="signs")] = msgspec.field(name="SNAPSURGE_AUTH_SECRET")
    uploads_max: Annotated[int, Meta(ge=1, description="uploads at once")] = 64
    linger_s: float = 0.5
    open: bool = False


def load(**environ: str) -> Example:
    """The example's settings with a secret."""
    return settings.load(Example, "INGEST", {"SNAPSURGE_AUTH_SECRET": "secret"} | environ)


def test_values_are_converted_and_defaults_kept() -> None:
    """Text becomes numbers and truths; what is not set is the default; other variables are no settings."""
    found = load(SNAPSURGE_INGEST_UPLOADS_MAX="7", SNAPSURGE_INGEST_OPEN="true", PATH="/bin", INGEST_LINGER_S="9")

    assert found == Example(secret="secret", uploads_max=7, linger_s=0.5, open=True)


@pytest.mark.parametrize(
    "name",
    [
        "SNAPSURGE_INGEST_UPLOAD_MAX",
        "SNAPSURGE_INGEST_",
        "SNAPSURGE_INGEST",
        "SNAPSURGE_INGST_UPLOADS_MAX",
        "SNAPSURGE_UPLOADS_MAX",
        "SNAPSURGE_",
        "SNAPSURGE_STORE",
        "SNAPSURGE_ingest_uploads_max",
    ],
)
def test_what_nobody_knows_is_an_error(name: str) -> None:
    """A misspelt name, a misspelt tier, no tier: the text names it."""
    with pytest.raises(settings.SettingsError, match=f"unknown setting {name};"):
        load(**{name: "1"})


@pytest.mark.parametrize("name", ["SNAPSURGE_LB_ANYTHING", "SNAPSURGE_STORAGE_FILE_THREADS", "SNAPSURGE_REDIS_URL"])
def test_what_others_read_is_theirs_to_check(name: str) -> None:
    """Names of another tier, and shared ones that this tier does not read."""
    assert load(**{name: "not even a number"}) == Example(secret="secret")


@pytest.mark.parametrize("value", ["0", "-1", "many", "1.5", ""])
def test_a_bad_value_is_an_error_that_names_it(value: str) -> None:
    """Below the limit, no number, nothing."""
    with pytest.raises(settings.SettingsError, match="SNAPSURGE_INGEST_UPLOADS_MAX"):
        load(SNAPSURGE_INGEST_UPLOADS_MAX=value)


def test_what_is_required_must_be_there() -> None:
    """No secret, no start."""
    with pytest.raises(settings.SettingsError, match="SNAPSURGE_AUTH_SECRET"):
        settings.load(Example, "INGEST", {})


def test_the_table_lists_everything() -> None:
    """Each setting in a line of its own with its default and what it is for; `--help` shows it."""
    lines = settings.table(Example).splitlines()

    assert [line.split()[0] for line in lines] == [one.encode_name for one in msgspec.structs.fields(Example)]
    assert "(required)" in lines[0]
    assert lines[0].endswith("signs")
    assert lines[1].split() == ["SNAPSURGE_INGEST_UPLOADS_MAX", "64", "uploads", "at", "once"]


def test_tables_of_several_tiers_are_one_table() -> None:
    """Columns line up over all of them."""

    class Other(msgspec.Struct, frozen=True):
        """One setting with a short name."""

        SNAPSURGE_LB_A: Annotated[int, Meta(description="first")] = 1

    lines = settings.table(Example, Other).splitlines()

    assert len(lines) == 5
    assert lines[4].index("first") == lines[1].index("uploads at once")
