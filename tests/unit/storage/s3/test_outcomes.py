"""storage.s3.outcomes: what an answer of the store means."""

import logging

import pytest

from storage.blobs import BlobExists, BlobMissing, QuorumLost, StoreFull, StoreUnavailable, StoreUnsuitable
from storage.s3.answer import Answer
from storage.s3.outcomes import NoBucket, Outcomes


async def answered(answer: Answer | OSError) -> Answer:
    """A call with this outcome."""
    if isinstance(answer, OSError):
        raise answer
    return answer


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("PreconditionFailed", BlobExists),
        ("NoSuchKey", BlobMissing),
        ("NoSuchBucket", NoBucket),
    ],
)
async def test_an_expected_error_is_no_failure(
    code: str, kind: type[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    """It is not logged; where it was not expected, it is one, and is logged."""
    with pytest.raises(kind, match=f"PUT x: the store answered 4.. {code}"):
        await Outcomes("here").done("PUT x", answered(Answer(412, code=code)), kind)
    assert not caplog.records
    with pytest.raises(StoreUnavailable, match=code):
        await Outcomes("here").done("PUT x", answered(Answer(412, code=code)))
    assert code in caplog.text


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("SlowDownWrite", QuorumLost),
        ("XMinioStorageFull", StoreFull),
        ("NotImplemented", StoreUnsuitable),
        ("InternalError", StoreUnavailable),
    ],
)
async def test_a_failure_keeps_its_kind_and_is_logged(
    code: str, kind: type[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    """With the name of the bucket and the store's word."""
    with pytest.raises(kind, match=code):
        await Outcomes("here").done("PUT x", answered(Answer(503, code=code)))
    assert "here" in caplog.text
    assert caplog.records[0].levelno >= logging.WARNING


async def test_silence_is_a_failure() -> None:
    """With the kind of the error; success is passed on."""
    with pytest.raises(StoreUnavailable, match="GET x: TimeoutError: late"):
        await Outcomes("here").done("GET x", answered(TimeoutError("late")))
    assert (await Outcomes("here").done("GET x", answered(Answer(200)))).status == 200
