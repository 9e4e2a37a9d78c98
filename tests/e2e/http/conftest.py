"""One balancer over one recording node for all raw-socket cases of a file."""

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.e2e.http.recorder import Recorder, recorded
from tests.e2e.test_lb_harness import Balancer


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pair() -> AsyncIterator[tuple[Recorder, Balancer]]:
    """A recording node and the balancer in front of it; each case clears the recorder first."""
    async with recorded() as made:
        yield made
