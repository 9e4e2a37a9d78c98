"""The node's settings: defaults, names, relations, and which secrets may face other machines."""

from ipaddress import IPv4Address

import pytest

from bench.config import DEVELOPMENT_SECRET as SECRET_OF_BENCH
from deploy.config import DEVELOPMENT_SECRET
from ingest import config
from storage.settings import SettingsError

SECRET = {"SNAPSURGE_AUTH_SECRET": "x" * 32}


def test_the_secret_is_all_that_is_required() -> None:
    """Everything else has a default; two photos and the meta fit one body."""
    made = config.load(SECRET)

    assert made.photo_bytes_max == 16 * 1024 * 1024
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
        SECRET | {"SNAPSURGE_INGEST_PHOTO_SIDE_PX_MIN": "70000"},
        {"SNAPSURGE_AUTH_SECRET": "x" * 31},
        SECRET | {"SNAPSURGE_AUTH_SECRET_PREVIOUS": "x" * 31},
        SECRET | {"SNAPSURGE_INGEST_LINK_SECRET": "y" * 31},
        SECRET | {"SNAPSURGE_INGEST_LINK_SECRET": f"{'y' * 32},short"},
        SECRET | {"SNAPSURGE_INGEST_LINK_SECRET": "x" * 32},
        SECRET | {"SNAPSURGE_INGEST_STAMP_SECRET": f"{'y' * 16},{'z' * 15}"},
        SECRET | {"SNAPSURGE_INGEST_LINK_S": "9"},
        SECRET | {"SNAPSURGE_INGEST_LINK_S": "604801"},
        SECRET | {"SNAPSURGE_INGEST_CORS_ORIGINS": "https://app.example/"},
    ],
)
def test_what_is_wrong_is_named(wrong: dict[str, str]) -> None:
    """Missing, short, unknown, misspelt tier, no number, out of range, and limits that do not fit each other."""
    with pytest.raises(SettingsError):
        config.load(wrong)


def test_two_link_secrets_are_read_in_order() -> None:
    """The first signs; blanks around them, and a comma at the end, mean nothing."""
    new, old = "n" * 32, "o" * 32
    made = config.load(SECRET | {"SNAPSURGE_INGEST_LINK_SECRET": f" {new} , {old},", "SNAPSURGE_INGEST_LINK_S": "10"})

    assert (made.link_secrets, made.link_s) == ((new.encode(), old.encode()), 10)
    assert config.load(SECRET).link_secrets == ()


def test_other_tiers_names_are_theirs() -> None:
    """One environment serves all programs."""
    assert config.load(SECRET | {"SNAPSURGE_LB_WHATEVER": "1", "SNAPSURGE_STORE_URL": "file:///x"}).drain_s == 30


def test_a_bad_secret_is_not_shown() -> None:
    """The error names the setting and not what was in it."""
    with pytest.raises(SettingsError) as refused:
        config.load({"SNAPSURGE_AUTH_SECRET": "tiger"})
    assert "SNAPSURGE_AUTH_SECRET" in str(refused.value)
    assert "tiger" not in str(refused.value)


@pytest.mark.parametrize("host", [str(IPv4Address(0)), "::", "10.0.0.1", "node-1", "127.0.0.1.example.org"])
def test_a_public_secret_stays_on_this_machine(host: str) -> None:
    """The development secret, as the present or the previous one, is refused where others can reach the node."""
    own = "my-own-secret-of-at-least-32-characters"
    for public in (DEVELOPMENT_SECRET, SECRET_OF_BENCH):
        for now, before in ((public, ""), (own, public)):
            chosen = config.Config(auth_secret=now, auth_secret_previous=before)
            with pytest.raises(SettingsError, match="public"):
                config.check_secrets(chosen, host)
            for here in ("127.0.0.1", "127.9.9.9", "::1", "localhost"):
                config.check_secrets(chosen, here)
    public_links = config.Config(auth_secret=own, link_secret=f"{'y' * 32},{DEVELOPMENT_SECRET}")
    with pytest.raises(SettingsError, match="LINK_SECRET is public"):
        config.check_secrets(public_links, host)
    config.check_secrets(public_links, "127.0.0.1")
    config.check_secrets(config.Config(auth_secret=own, auth_secret_previous=own, link_secret="y" * 32), host)
