"""What tests on several hosts share."""

from collections.abc import Iterator

import pytest

from tests.faults.rig import needs
from tests.net.network import Network, missing


@pytest.fixture
def network() -> Iterator[Network]:
    """Three hosts without programs."""
    needs("minio")
    if why := missing():
        pytest.skip(why)
    with Network() as made:
        yield made
