"""What a run of a render adds to the times of its post."""

from msgspec import structs

from processors.runs import UNKNOWN, Run, ready, rendered
from storage.queue.lease import Attempts
from storage.records import Photo, Photos, Receipt, Times, accepted, from_ms

AT = 1_767_225_600_000
SHOT = Photo(sha256="0" * 64, bytes=1, width=1, height=1, format="jpeg")
RECEIPT = Receipt(
    id="post",
    moment_id="eu-1",
    user_id="ann",
    received_at=from_ms(AT),
    closes_at=from_ms(AT + 120_000),
    request_id="first",
    times=Times(retry=True, head_ms=5000, body_ms=5400, node="a"),
    photos=Photos(front=SHOT, back=SHOT),
)
RUN = Run(
    worker="host-7-ab",
    attempts=Attempts(faults=1, lapses=2),
    committed_ms=AT + 5420,
    queued_ms=AT + 5422,
    claimed_ms=AT + 6000,
    started_ms=AT + 6010,
)


def test_times_count_from_the_first_try() -> None:
    """All steps in ms after `received_at`; the run counts the failed ones before it."""
    times = rendered(RECEIPT, RUN, AT + 6300, 0.1234)

    assert times == Times(
        retry=True, head_ms=5000, body_ms=5400, node="a", committed_ms=5420, queued_ms=5422, claimed_ms=6000,
        started_ms=6010, rendered_ms=6300, worker="host-7-ab", faults=1, lapses=2, cpu_ms=123,
    )  # fmt: skip
    assert times.run == 4
    assert RECEIPT.times.run == 0


def test_what_is_not_known_stays_unknown() -> None:
    """A job of the sweeper knows no commit, one of a stock arq worker nothing."""
    times = rendered(RECEIPT, UNKNOWN, AT + 6300, 0.0)

    assert (times.committed_ms, times.queued_ms, times.claimed_ms) == (None, None, None)
    assert (times.body_ms, times.rendered_ms, times.run) == (5400, 6300, 1)


def test_completing_a_record_keeps_its_times() -> None:
    """The post was ready before its `full` came."""
    kept = rendered(RECEIPT, RUN, AT + 6300, 0.1)

    assert rendered(RECEIPT, Run(kept=kept), AT + 90_000, 0.3) is kept


def test_a_post_is_ready_once() -> None:
    """When its media object is stored; not before its render, and no later time replaces it."""
    post = structs.replace(accepted(RECEIPT), times=rendered(RECEIPT, RUN, AT + 6300, 0.1))
    first = ready(post, AT + 6320)

    assert first.times.ready_ms == 6320
    assert ready(first, AT + 99_000) is first
    assert ready(accepted(RECEIPT), AT + 1) == accepted(RECEIPT)
