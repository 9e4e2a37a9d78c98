"""ingest.resuming.resource: what an upload says of itself."""

import pytest

from ingest.resuming.beginnings import BEGUN
from tests.unit.ingest.resuming.test_resource_table import Stage


@pytest.mark.parametrize(("requests", "said"), [(0, False), (1, False), (2, True), (3, True)])
async def test_only_a_later_request_needs_an_excuse(requests: int, *, said: bool) -> None:
    """A creation that fails is a POST: the balancer has all that a ticket needs."""
    resource = Stage().begin()
    resource.requests = requests
    assert (BEGUN in resource.excuse()) is said


async def test_an_upload_is_known_by_what_has_come() -> None:
    """Its offset is that of its body; a byte moves its time."""
    resource = Stage().begin(came=70)
    resource.moved(5.0)
    assert (resource.offset, resource.moved_at, resource.failed_at) == (70, 5.0, None)
