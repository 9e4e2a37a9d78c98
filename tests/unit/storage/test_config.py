"""The settings of storage itself."""

import msgspec
import pytest

from storage import config, settings


def test_an_empty_environment_is_enough() -> None:
    """Every setting has a default."""
    assert config.load({}) == config.Config()


def test_addresses_have_no_tier_in_their_names() -> None:
    """Store and Redis are given once for all programs."""
    shards = "redis://q:1,redis://q:2"
    addresses = {"STORE_URL": "file:///data", "REDIS_URL": "redis://r:1/2", "SHARD_URLS": shards, "QUEUE_URLS": shards}
    found = config.load({f"SNAPSURGE_{name}": url for name, url in addresses.items()})

    assert [found.store_url, found.redis_url, found.shard_urls, found.queue_urls] == list(addresses.values())


def test_each_setting_of_the_tier_is_read() -> None:
    """The names are those that the fields say, upper case, after the tier."""
    environ = {one.encode_name: "2" for one in msgspec.structs.fields(config.Config) if "_STORAGE_" in one.encode_name}
    environ |= {"SNAPSURGE_STORAGE_PROBE": "off"}
    environ |= {"SNAPSURGE_STORAGE_INTAKE_DAYS": "3", "SNAPSURGE_STORAGE_MOMENT_DAYS": "8"}  # the least
    values = msgspec.structs.asdict(config.load(environ))

    assert (values["probe"], values["intake_days"], values["moment_days"]) == ("off", 3, 8)
    assert environ
    assert {name for name, value in values.items() if value == 2} == values.keys() - {
        "store_url",
        "redis_url",
        "shard_urls",
        "queue_urls",
        "probe",
        "intake_days",
        "moment_days",
    }


@pytest.mark.parametrize("name", ["S3_CONNECTIONS_MAX", "S3_READ_TIMEOUT_S", "FILE_THREADS", "REDIS_TIMEOUT_S"])
def test_nothing_may_be_zero(name: str) -> None:
    """A pool of no connections or a timeout of no seconds would refuse everything: said at start."""
    with pytest.raises(settings.SettingsError, match=name):
        config.load({f"SNAPSURGE_STORAGE_{name}": "0"})


def test_a_misspelt_setting_is_refused() -> None:
    """Rather than ignored."""
    with pytest.raises(settings.SettingsError, match="FILES_THREADS"):
        config.load({"SNAPSURGE_STORAGE_FILES_THREADS": "4"})
