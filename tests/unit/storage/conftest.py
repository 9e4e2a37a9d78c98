"""Fixtures of the storage tests: makers of receipts and posts, and an empty file store."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest

from storage import keys
from storage.files import FileStore
from storage.records import ATTEMPT_ID_CHARS, Photo, Photos, Post, Receipt, accepted, flagged, from_ms

FIRES_AT_MS = 1_769_860_800_000  # 2026-01-31T12:00:00Z
CLOSES_AT_MS = FIRES_AT_MS + 120_000
MOMENT_ID = "eu-20260131-abcdefgh"


def _receipt(user: str = "ann", moment_id: str = MOMENT_ID, late_by_ms: int = -1000, attempt: str = "a1") -> Receipt:
    photo = Photo(sha256="0" * 64, bytes=5, width=4, height=3, format="jpeg")
    return Receipt(
        id=keys.post_id(moment_id, user),
        moment_id=moment_id,
        user_id=user,
        received_at=from_ms(CLOSES_AT_MS + late_by_ms),
        closes_at=from_ms(CLOSES_AT_MS),
        request_id="the client's own",
        attempt=attempt and attempt.ljust(ATTEMPT_ID_CHARS, "0"),
        photos=Photos(front=photo, back=msgspec.structs.replace(photo, format="png")),
    )


@pytest.fixture
def make_receipt() -> Callable[..., Receipt]:
    """Makes receipts of a moment that closed at a fixed time, from `user`, `moment_id`, `late_by_ms`, `attempt`."""
    return _receipt


@pytest.fixture
def make_post() -> Callable[..., Post]:
    """Makes posts in any state, flagged unless accepted, from `state` and the arguments of `make_receipt`."""

    def make(state: str = "accepted", *, late: bool | None = None, **fields: object) -> Post:
        receipt = _receipt(**fields)  # type: ignore[arg-type] - the caller's words
        post = msgspec.structs.replace(accepted(receipt), state=state)
        return flagged(post, receipt.late_by_ms) if late or state != "accepted" else post

    return make


@pytest.fixture
async def files(tmp_path: Path) -> AsyncIterator[FileStore]:
    """An open and empty file store."""
    async with FileStore(tmp_path / "store") as store:
        yield store
