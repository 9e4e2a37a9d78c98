"""What arq asks Redis for at a job's start, answered from the claim."""

from arq.constants import job_key_prefix
from arq.jobs import serialize_job

from processors.brought import Brought, arguments
from storage.lease import Attempts, Claimed
from storage.queue import encode

BODY = serialize_job("render_pair", ("m", "p"), {}, None, 1, serializer=encode)
CLAIMED = Claimed("render_pair:p", BODY, "arq:queue", "w:1", Attempts(faults=2))


async def test_body_and_number_of_the_run_come_from_the_claim() -> None:
    """As arq's pipeline answers: the body, which run it is, and that the count will expire."""
    async with Brought({CLAIMED.id: CLAIMED}).pipeline(transaction=True) as pipe:
        pipe.get(job_key_prefix + CLAIMED.id)
        pipe.incr("arq:retry:x")
        pipe.expire("arq:retry:x", 1)

        assert await pipe.execute() == (BODY, 3, True)


def test_arguments_are_those_of_the_body() -> None:
    """None where it cannot be read: a letter is written anyway."""
    assert arguments(CLAIMED) == ("m", "p")
    assert arguments(Claimed("x", b"\xc1", "arq:queue", "w:1")) == ()
