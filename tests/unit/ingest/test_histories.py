"""The history of a post: its steps, waits and work apart, and what is not known."""

from msgspec import structs

from ingest.histories import FailedRuns, history
from storage.records import UNTIMED, Photo, Photos, Receipt, Times, accepted, from_ms
from storage.steps import Step

SHOT = Photo(sha256="0" * 64, bytes=1, width=1, height=1, format="jpeg")
UPLOADED = Times(retry=True, head_ms=5000, body_ms=5400, node="a")
RECEIPT = Receipt(
    id="post",
    moment_id="eu-1",
    user_id="ann",
    received_at=from_ms(1_767_225_600_000),
    closes_at=from_ms(1_767_225_720_000),
    request_id="second",
    attempt="0" * 32,
    times=UPLOADED,
    photos=Photos(front=SHOT, back=SHOT),
)
RENDERED = structs.replace(
    UPLOADED, committed_ms=5420, queued_ms=5422, claimed_ms=6000, started_ms=6010, rendered_ms=6300, ready_ms=6330,
    worker="w", lapses=1, cpu_ms=120,
)  # fmt: skip


def test_a_pair_that_came_back_is_told_step_by_step() -> None:
    """Every step begins where the one before ended, and the sums are those of the steps."""
    told = history(RECEIPT, structs.replace(accepted(RECEIPT), state="ready", times=RENDERED))

    assert told.steps == [
        Step("retry", "wait", "", 0, 5000),
        Step("receive", "work", "a", 5000, 5400),
        Step("commit", "work", "a", 5400, 5420),
        Step("enqueue", "wait", "a", 5420, 5422),
        Step("queue", "wait", "w", 5422, 6000),
        Step("slot", "wait", "w", 6000, 6010),
        Step("render", "work", "w", 6010, 6300),
        Step("store", "work", "w", 6300, 6330),
    ]
    assert (told.wait_ms, told.work_ms) == (5000 + 2 + 578 + 10, 400 + 20 + 290 + 30)
    assert (told.run, told.failures, told.unknown) == (2, FailedRuns(lapses=1), [])
    assert (told.request_id, told.node, told.worker, told.cpu_ms) == ("second", "a", "w", 120)


def test_a_first_try_has_no_wait_before_it() -> None:
    """And a post that waits in the queue says what has not come."""
    first = structs.replace(UPLOADED, retry=False, head_ms=0)
    told = history(RECEIPT, structs.replace(accepted(RECEIPT), times=first))

    assert told.steps == [Step("receive", "work", "a", 0, 5400)]
    assert told.unknown == ["commit", "enqueue", "queue", "slot", "render", "store"]
    assert told.run == 0


def test_a_time_that_is_not_known_is_bridged() -> None:
    """The sweeper that queued the job did not know when the pair was committed."""
    told = history(RECEIPT, structs.replace(accepted(RECEIPT), times=structs.replace(RENDERED, committed_ms=None)))

    assert Step("enqueue", "wait", "a", 5400, 5422) in told.steps
    assert told.unknown == ["commit"]


def test_an_old_record_tells_what_it_has() -> None:
    """Nothing is invented for a record from before times were kept."""
    told = history(structs.replace(RECEIPT, times=UNTIMED), structs.replace(accepted(RECEIPT), times=UNTIMED))

    assert (told.steps, told.wait_ms, told.work_ms) == ([], 0, 0)
    assert "receive" in told.unknown
