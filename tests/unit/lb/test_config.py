"""lb.config: settings, misspelt ones, impossible ones."""

import msgspec
import pytest

from lb.config import Config, ConfigError, load, rows


def test_an_empty_environment_gives_the_defaults() -> None:
    """Nothing has to be set."""
    assert load({}) == Config()


def test_settings_are_read_with_their_units() -> None:
    """Numbers and texts, ours and the shared one; other tiers' names are not ours to judge."""
    config = load(
        {
            "SNAPSURGE_LB_DRAIN_S": "7",
            "SNAPSURGE_REDIS_URL": "redis://h",
            "SNAPSURGE_INGEST_ANYTHING": "x",
            "SNAPSURGE_AUTH_SECRET": "s",
            "HOME": "/",
        }
    )

    assert (config.drain_s, config.redis_url) == (7, "redis://h")


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("SNAPSURGE_LB_DRIAN_S", "7", "unknown setting SNAPSURGE_LB_DRIAN_S"),
        ("SNAPSURGE_BALANCER_X", "7", "unknown setting SNAPSURGE_BALANCER_X"),
        ("SNAPSURGE_LB_DRAIN_S", "soon", "SNAPSURGE_LB_DRAIN_S"),
        ("SNAPSURGE_LB_HEAD_S", "0", "SNAPSURGE_LB_HEAD_S"),
        ("SNAPSURGE_REDIS_URL", "localhost:6379", "SNAPSURGE_REDIS_URL: not the address"),
        ("SNAPSURGE_LB_HOLDER_PATH", "/uploads", "SNAPSURGE_LB_HOLDER_PATH: '/uploads' is not a path with one segment"),
        ("SNAPSURGE_LB_BODY_GRACE_S", "1", "SNAPSURGE_LB_BODY_STALL_S"),
        ("SNAPSURGE_LB_LINGER_S", "1", "SNAPSURGE_LB_LINGER_IDLE_S"),
        ("SNAPSURGE_LB_CHECK_MS", "100", "SNAPSURGE_LB_CHECK_FAST_MS"),
        ("SNAPSURGE_LB_MEMBERS_S", "20", "SNAPSURGE_LB_MEMBERS_GONE_S"),
        ("SNAPSURGE_LB_POOL_IDLE_S", "75", "SNAPSURGE_LB_POOL_IDLE_S must be under 75"),
        ("SNAPSURGE_LB_TRUSTED_PEERS", "10.0.0.1/8", "SNAPSURGE_LB_TRUSTED_PEERS"),
        ("SNAPSURGE_LB_TICKET_SECRET", "sixteen-bytes-ok,tooshort", "SNAPSURGE_LB_TICKET_SECRET"),
        ("SNAPSURGE_LB_STAMP_SECRET", "sixteen-bytes-ok,tooshort", "SNAPSURGE_LB_STAMP_SECRET"),
        ("SNAPSURGE_LB_HANDOVER", "/" + "x" * 100, "SNAPSURGE_LB_HANDOVER"),
    ],
)
def test_wrong_settings_are_errors_that_name_themselves(name: str, value: str, said: str) -> None:
    """Unknown names, values of the wrong kind, limits that contradict each other."""
    with pytest.raises(ConfigError, match=said):
        load({name: value})


def test_two_ticket_secrets_are_accepted_and_the_first_signs() -> None:
    """Separated by a comma; without any there are none."""
    assert load({"SNAPSURGE_LB_TICKET_SECRET": "the-new-secret-16, the-old-secret-16"}).ticket_secrets == (
        b"the-new-secret-16",
        b"the-old-secret-16",
    )
    assert load({}).ticket_secrets == ()


def test_every_setting_is_described() -> None:
    """The table has a row for each field, with a description."""
    table = rows()

    assert [name for name, _, _ in table] == [field.encode_name for field in msgspec.structs.fields(Config)]
    assert all(description for _, _, description in table)
