"""How the checker judges deletions: which posts must be gone, which must exist again, and which may do either.

Histories are written by hand; times are Unix ms; each line is one operation of user u.
"""

from itertools import pairwise
from typing import Any

import pytest
from msgspec.structs import replace

from tests.faults.checker import judge
from tests.faults.sightings import Seen, Shown, Stored
from tests.faults.witness import Ending, Operation, Try

CLOSES = 10_000
EITHER = "either"


def post(name: str, began: int, ended: int | None, ending: Ending = "ok") -> Operation:
    """An upload of pair `name`."""
    attempt = Try(began=began, ended=ended, status=201 if ending == "ok" else 503, kept={"ok": True}.get(ending))
    if ending == "fail":
        attempt = replace(attempt, kept=False)
    return Operation(
        op=f"u/{name}-{began}", moment="m", user="u", front=f"f{name}", back=f"b{name}", tries=(attempt,), ending=ending
    )


def gone(began: int, ended: int | None, ending: Ending = "ok", status: int = 204) -> Operation:
    """A deletion of the user's post."""
    attempt = Try(began=began, ended=ended, status=status if ending == "ok" else 503)
    return Operation(op=f"u/gone-{began}", moment="m", user="u", what="delete", tries=(attempt,), ending=ending)


def there(name: str, at: int = 1_010) -> Stored:
    """Pair `name` in the store."""
    return Stored(key="k", user="u", front=f"f{name}", back=f"b{name}", received_at=at)


def listed(name: str, at: int = 1_010) -> Shown:
    """Pair `name` in the API's list."""
    return Shown(
        id="p",
        user="u",
        front=f"f{name}",
        back=f"b{name}",
        received_at=at,
        state="ready",
        late=False,
        late_by=at - CLOSES,
    )


def node(name: str = "", status: int = 404, picture: int | None = None) -> Seen:
    """The user's post as node a shows it."""
    photos: dict[str, Any] = {"front": f"f{name}", "back": f"b{name}"} if name else {}
    return Seen(user="u", where="node a", status=status, picture=status if picture is None else picture, **photos)


def found(
    operations: tuple[Operation, ...],
    stored: tuple[Stored, ...] = (),
    shown: tuple[Shown, ...] = (),
    seen: tuple[Seen, ...] = (),
) -> set[str]:
    """The kinds of the checker's findings, given the counts that match the posts."""
    counts = dict.fromkeys(("accepted", "on_time", "ready"), len(shown)) | {"late": 0, "rejected": 0, "pending": 0}
    verdict = judge(operations, stored, shown, counts, seen, closes_at=CLOSES, margin=20)
    return {finding.kind for finding in verdict.findings}


POSTED, DELETED = post("1", 1_000, 1_100), gone(2_000, 2_100)
AGAIN, OTHER = post("1", 3_000, 3_100), post("2", 3_000, 3_100)


def test_what_was_deleted_and_is_nowhere_is_as_it_should_be() -> None:
    """A deleted post is gone, also on the nodes; a second deletion may be answered 404."""
    assert found((POSTED, DELETED), seen=(node(),)) == set()
    assert found((POSTED, DELETED, gone(2_200, 2_300, status=404)), seen=(node(),)) == set()


@pytest.mark.parametrize(
    ("stored", "shown", "seen"),
    [
        ((there("1"),), (listed("1"),), ()),
        ((), (listed("1"),), ()),
        ((), (), (node("1", 200),)),
        ((), (), (node(picture=200),)),
        ((), (), (node(status=500),)),
    ],
    ids=["all of it", "the list alone", "one node's record", "one node's picture", "one node's error"],
)
def test_what_was_deleted_is_nowhere(
    stored: tuple[Stored, ...], shown: tuple[Shown, ...], seen: tuple[Seen, ...]
) -> None:
    """After a 204 without a later upload, neither the store nor the list nor any node has a part of the post."""
    assert "revived" in found((POSTED, DELETED), stored, shown, seen)


@pytest.mark.parametrize("again", [AGAIN, OTHER], ids=["the same pair", "another pair"])
def test_what_was_posted_after_a_deletion_is_there(again: Operation) -> None:
    """The store, the list and each node have exactly the new bytes; a missing post or the old bytes count as lost."""
    name = again.front[1:]
    new, shown = there(name, 3_010), listed(name, 3_010)
    history = (POSTED, DELETED, again)

    assert found(history, (new,), (shown,), (node(name, 200),)) == set()
    assert found(history) == {"lost"}
    assert "lost" in found(history, (new,), ())
    assert "lost" in found(history, (new,), (shown,), (node(),))
    assert "unsettled" in found(history, (new,), (shown,), (node(name, 200, picture=500),))


def test_a_new_pair_never_shows_the_old_one() -> None:
    """After a deletion and another pair, the old bytes, record or picture anywhere count as revived."""
    history, new, shown = (POSTED, DELETED, OTHER), there("2", 3_010), listed("2", 3_010)

    assert found(history, (new,), (shown,), (node("1", 200),)) == {"revived"}
    assert "revived" in found(history, (new,), (listed("1", 3_010),), ())
    assert {"revived", "lost"} <= found(history, (there("1"),), (listed("1"),), ())


def test_received_at_is_of_an_upload_that_was_not_deleted() -> None:
    """The same pair posted again has the time of the new upload; the time of the deleted one is wrong."""
    history = (POSTED, DELETED, AGAIN)

    assert found(history, (there("1", 3_010),), (listed("1", 3_010),)) == set()
    assert found(history, (there("1", 1_010),), (listed("1", 1_010),)) == {"wrongly_late"}


@pytest.mark.parametrize(
    "deleted", [gone(2_000, 2_100, "unknown"), gone(2_000, None, "unknown")], ids=["503", "no answer"]
)
def test_a_deletion_of_unknown_outcome_may_be_either_way(deleted: Operation) -> None:
    """The post may be there or gone, and a later post may be deleted too; a partly deleted post is wrong."""
    assert found((POSTED, deleted), seen=(node(),)) == set()
    assert found((POSTED, deleted), (there("1"),), (listed("1"),), (node("1", 200),)) == set()
    assert found((POSTED, deleted, AGAIN)) == set()
    assert found((POSTED, deleted), (), (listed("1"),)) == {"revived"}


def test_operations_that_overlap_may_act_in_either_order() -> None:
    """If a deletion overlaps an upload, the pair may be there or gone."""
    for deletion in (gone(1_050, 1_200), gone(900, 1_050), gone(1_100, 1_200)):
        assert found((POSTED, deletion)) == set()
        assert found((POSTED, deletion), (there("1"),), (listed("1"),)) == set()
    assert found((POSTED, gone(1_101, 1_200)), (there("1"),), (listed("1"),)) == {"revived"}
    assert found((post("1", 1_000, 1_100), gone(800, 999))) == {"lost"}


def test_an_upload_of_unknown_outcome_may_come_after_the_deletion() -> None:
    """The upload has no end, so the pair may be there although a later deletion was acknowledged."""
    unknown = post("1", 1_000, None, "unknown")

    assert found((unknown, DELETED)) == set()
    assert found((unknown, DELETED), (there("1"),), (listed("1"),)) == set()


def test_a_deletion_that_was_refused_excuses_nothing() -> None:
    """A deletion answered 403 or 429 did nothing, so the pair must be there."""
    refused = replace(gone(2_000, 2_100), ending="fail", tries=(Try(began=2_000, ended=2_100, status=403, kept=False),))

    assert found((POSTED, refused)) == {"lost", "refused"}


def test_many_comings_and_goings_end_as_the_last_one() -> None:
    """In a sequence of uploads and deletions without overlap, only the last counts, for every length."""
    row = [post("1", 1_000, 1_100), gone(2_000, 2_100), post("2", 3_000, 3_100), gone(4_000, 4_100)]
    row.append(post("1", 5_000, 5_100))
    assert all(one.precedes(other) for one, other in pairwise(row))
    for length in range(1, 6):
        history, last = tuple(row[:length]), row[length - 1]
        for name in ("1", "2"):
            at = last.began + 10
            kinds = found(history, (there(name, at),), (listed(name, at),))
            assert (kinds == set()) is (last.what == "post" and last.front == f"f{name}"), (length, name, kinds)
        assert (found(history) == set()) is (last.what == "delete")


def test_a_deletion_gives_way_to_a_later_try_of_the_upload_only() -> None:
    """409: the phone sent the pair again after it had sent the deletion. Otherwise the deletion was refused."""
    late = gone(2_000, 2_100)
    late = replace(late, ending="fail", tries=(Try(began=2_000, ended=2_100, status=409, kept=False),))
    again = replace(POSTED, tries=(*POSTED.tries, Try(began=2_050, ended=2_080, status=200, kept=True)))

    assert "refused" in found((POSTED, late))
    assert "refused" not in found((again, late))
