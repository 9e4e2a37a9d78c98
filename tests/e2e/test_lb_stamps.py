"""A node that trusts no network believes the balancer that stamps, and no other: through real processes."""

from datetime import datetime
from pathlib import Path

import pytest

from tests.e2e.test_lb_harness import balancer
from tests.e2e.test_lb_tickets import TICKETS, in_flight, node, on_time, opened, over, upload
from tests.e2e.test_lb_tickets import Upload as Try

pytestmark = pytest.mark.e2e
SECRET = "the-stamp-secret-of-a-cluster"
SETTINGS = {"TRUSTED_PEERS": "", "IN_FLIGHT_REQUESTS_MAX": "1", "STAMP_SECRET": f"another-secret-of-16,{SECRET}"}


@pytest.mark.parametrize(("secret", "believed"), [(SECRET, True), ("a-foreign-secret-of-16", False), ("", False)])
async def test_a_retry_is_as_late_as_its_first_try_where_the_balancer_stamps(
    tmp_path: Path, redis_url: str, secret: str, *, believed: bool
) -> None:
    """The node believes times, retries and checks by the stamp alone; else its own clock counts, and it says so."""
    stamped = {**TICKETS, "SNAPSURGE_LB_STAMP_SECRET": secret}
    async with (
        node(tmp_path, redis_url, **SETTINGS) as one,
        balancer(("a", one.port), hash_on="bearer-sub", environment=stamped) as lb,
    ):
        moment = await opened(lb)
        holding = await Try().begin(lb, moment, "holder")
        await in_flight(one.port, 1)
        status, ticket, _ = await upload(lb, moment, "ann")
        assert status == 503
        await over(moment)
        assert (await holding.end())[0] == 201
        answer = await upload(lb, moment, "ann", ticket)

        assert on_time(moment, answer) is believed
        assert datetime.fromisoformat(answer[2]["received_at"])
