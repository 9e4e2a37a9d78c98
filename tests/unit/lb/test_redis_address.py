"""lb.redis_address is the text of storage.redis_address, see tests/contract/test_redis_addresses.py."""

import pytest

from lb.config import ConfigError, load


def test_a_bad_address_is_refused_at_start() -> None:
    """By the name of its setting."""
    url = "redis+sentinel://h:26379,h:26380/primary/0"
    assert load({"SNAPSURGE_REDIS_URL": url}).redis_url == url
    with pytest.raises(ConfigError, match=r"SNAPSURGE_REDIS_URL: .*the database is not a number"):
        load({"SNAPSURGE_REDIS_URL": "redis+sentinel://h:26379/primary/first"})
