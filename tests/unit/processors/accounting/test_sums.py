"""The sums of an account, post by post."""

from collections.abc import Sequence
from typing import Any

from msgspec import structs

from processors.accounting.sums import OTHERS, REASONS_MAX, SETTLE_MS, SILENT_MS, Sums
from storage.accounts import Account, Cpu, Quantiles, Refused
from storage.keys import post_id
from storage.records import Moment, Photo, Photos, Post, Rendition, Times, flagged, from_ms, to_ms
from storage.tallies import Tallied, Tally

FIRES_MS = 1_767_225_600_000
CLOSES_MS = FIRES_MS + 120_000
MOMENT = Moment(
    id="eu-20260101-aaaaaaaa", region="eu", fires_at=from_ms(FIRES_MS), closes_at=from_ms(CLOSES_MS), window_s=120
)
SHOT = Photo(sha256="0" * 64, bytes=100, width=1, height=1, format="jpeg")
PLACE = Rendition(offset=0, bytes=7, width=1, height=1, sha256="0" * 64)
TIMES = Times(head_ms=0, body_ms=400, committed_ms=410, rendered_ms=900, ready_ms=930, node="a", cpu_ms=20)


def post(user: str, after_ms: int = 1000, **fields: Any) -> Post:
    """A ready post of this user, received so long after the moment fired."""
    received_ms = FIRES_MS + after_ms
    made = Post(
        id=post_id(MOMENT.id, user),
        moment_id=MOMENT.id,
        user_id=user,
        received_at=from_ms(received_ms),
        state="ready",
        photos=Photos(front=SHOT, back=SHOT),
        renditions={"composite": PLACE},
        times=TIMES,
    )
    return structs.replace(flagged(made, received_ms - CLOSES_MS), **fields)


def refused(**users: int) -> dict[str, int]:
    """These users' pairs, refused so many ms after the moment fired."""
    return {post_id(MOMENT.id, user)[:26]: FIRES_MS + after_ms for user, after_ms in users.items()}


def account(
    posts: list[Post], tallied: Tallied | None = None, *, stored: Account | None = None, gone: Sequence[str] = ()
) -> Account:
    """Their account, a while after the moment."""
    sums = Sums(MOMENT, tallied.refused if tallied is not None else {})
    sums.add(posts)
    sums.gone(post_id(MOMENT.id, user) for user in gone)
    return sums.account(tallied, {}, now_ms=CLOSES_MS + SETTLE_MS, stored=stored)


def test_states_flags_and_bytes_are_added_up() -> None:
    """Each post once, a rejected one by its reason."""
    found = account(
        [
            post("ann"),
            post("bob", 120_001),
            post("cid", state="rejected", reason="no photo", renditions={}),
            post("dan", state="rejected", reason="no photo", renditions={}, times=structs.replace(TIMES, faults=2)),
        ]
    )

    assert (found.accepted, found.on_time, found.late, found.ready, found.pending) == (4, 3, 1, 2, 0)
    assert (found.rejected, found.settled, found.kept) == ({"no photo": 2}, True, True)
    assert (found.bytes.photos, found.bytes.renditions) == (800, 14)
    assert (found.failures.faults, found.cpu_ms) == (2, Cpu(worker=80))
    assert found.upload_ms == Quantiles(count=4, p50=400, p90=400, p99=400, max=400)
    assert (found.rendered_ms.max, found.ready_ms.max) == (900, 930)


def test_a_flag_that_is_not_that_of_its_receipt_is_ours() -> None:
    """Whichever way it is wrong; a flag that is missing is pending."""
    for wrong in (post("ann", late=True), post("ann", 120_001, late=False), post("ann", late_by_ms=-1)):
        assert account([wrong]).late_because_of_us == 1
    unflagged = account([post("ann", late=None, late_by_ms=None)])
    assert (unflagged.late_because_of_us, unflagged.pending, unflagged.settled) == (0, 1, False)
    assert [account([post("ann", after_ms)]).late_because_of_us for after_ms in (120_000, 120_001)] == [0, 0]


def test_refused_pairs_are_counted_once_and_looked_up() -> None:
    """Those that came back, with and without a ticket, and those that did not, in time and late."""
    back = structs.replace(TIMES, retry=True, head_ms=5000)
    tallied = Tallied(
        Tally("", {"created": 3, "overloaded": 7}, 2, 1234), 2,
        refused(ann=1000, bob=119_000, cid=1, eve=120_000, fay=120_001),
    )  # fmt: skip
    found = account([post("ann", times=back), post("bob", 125_000), post("cid", 130_000, times=back)], tallied)

    assert found.refused == Refused(pairs=5, came_back=3, not_back=2, not_back_in_time=1)
    assert (found.offered, found.accepted, found.retried, found.tickets) == (5, 3, 2, 2)
    # bob came without his ticket; cid's was honoured and he is late nevertheless.
    assert (found.late, found.late_without_ticket, found.late_because_of_us) == (2, 1, 1)
    assert (found.due, found.failed) == (1 + 1 + 1, 1 + 1)
    assert (found.tries, found.cpu_ms, found.untold) == ({"created": 3, "overloaded": 7}, Cpu(node=1234, worker=60), 0)


def test_a_refused_pair_that_was_deleted_since_did_not_fail() -> None:
    """It was there; whether it is a tombstone's or nobody's makes the difference."""
    tallied = Tallied(Tally("", {"created": 2}), 1, refused(ann=1, bob=2, cid=3))
    found = account([post("ann")], tallied, gone=["bob", "dan"])

    assert found.refused == Refused(pairs=3, came_back=1, deleted=1, not_back=1, not_back_in_time=1)
    assert (found.offered, found.accepted, found.deleted, found.failed, found.due) == (2, 1, 2, 1, 2)


def test_a_post_is_ours_once() -> None:
    """Even if its flag is wrong and a node had refused it in time."""
    both = post("ann", 120_001, late=False, times=structs.replace(TIMES, retry=True))

    assert account([both], Tallied(Tally(), 1, refused(ann=1))).late_because_of_us == 1


def test_posts_that_no_node_counted_are_named() -> None:
    """Of a node that was killed between its PUT and its next report."""
    assert account([post("ann"), post("bob")], Tallied(Tally("", {"created": 1}), 1)).untold == 1
    assert not account([post("ann")], Tallied(Tally(), 1, {}, cut=True)).refused.complete
    for nothing in (None, Tallied()):
        found = account([post("ann")], nothing)
        assert found.untold == 1
        assert any("nodes counted 0 of 1 accepted posts; the others" in line for line in found.known_by)


def test_refused_pairs_are_complete_only_if_nothing_can_be_missing() -> None:
    """Redis was emptied, a node was killed while the moment ran or settled, or posts are there that nobody counted."""
    told = Tallied(Tally("", {"created": 1, "overloaded": 1}), 1, refused(bob=5))
    now_ms = CLOSES_MS + SETTLE_MS
    for tallied, complete in (
        (told, True),
        (structs.replace(told, cut=True), False),
        (structs.replace(told, lost=True), False),
        (structs.replace(told, unended=(now_ms - SILENT_MS, now_ms)), True),
        (structs.replace(told, unended=(now_ms - SILENT_MS - 1, now_ms)), False),
        (Tallied(), False),
        (None, False),
    ):
        found = account([post("ann")], tallied)
        assert found.refused.complete is complete, tallied
        assert any("a lower bound" in line for line in found.known_by) is not complete
    assert account([post("ann"), post("cid")], told).refused.complete  # cid's client had left before the answer
    assert not account([post("ann"), post("cid"), post("dan")], told).refused.complete
    assert account([], None).refused.complete  # nobody came
    killed_later = Sums(MOMENT, told.refused)
    killed_later.add([post("ann")])
    for after_ms, complete in ((-1, False), (0, True)):
        tallied = structs.replace(told, unended=(CLOSES_MS + SETTLE_MS + after_ms,))
        assert killed_later.account(tallied, {}, now_ms=2 * CLOSES_MS, stored=None).refused.complete is complete


def test_what_redis_lost_since_the_stored_account_is_not_complete() -> None:
    """As long as nothing new was told, the stored one is."""
    stored = account([post("ann")], Tallied(Tally("", {"created": 1, "overloaded": 2}), 2, refused(bob=5)))
    fewer = Tallied(Tally("", {"overloaded": 1}), 1, refused(dan=9))

    assert account([post("ann")], None, stored=stored).refused.complete
    assert account([post("ann")], Tallied(), stored=stored).refused.complete
    assert not account([post("ann")], fewer, stored=stored).refused.complete


def test_what_redis_forgot_the_stored_account_lends() -> None:
    """Tallies and the times of the index alone; what the posts tell is computed anew."""
    tallied = Tallied(Tally("", {"created": 1, "overloaded": 2}, 1, 77), 1, refused(bob=5))
    stored = account([post("ann")], tallied)
    later = [post("ann", times=structs.replace(TIMES, ready_ms=None))]

    for gone in (None, Tallied()):
        again = account(later, gone, stored=stored)
        assert structs.replace(again, known_by=[]) == structs.replace(stored, known_by=[])
        assert again.known_by == stored.known_by
    more = account([*later, post("cid")], None, stored=stored)
    assert (more.accepted, more.untold) == (2, 1)


def test_a_few_tries_after_redis_lost_all_do_not_take_the_place_of_the_stored_ones() -> None:
    """As few as one less than stored; as many as stored are Redis' own."""
    tallied = Tallied(Tally("", {"created": 1, "overloaded": 2}, 1, 77), 2, refused(bob=5))
    stored = account([post("ann")], tallied)
    for tries, own in (({"overloaded": 2}, False), ({"overloaded": 3}, True)):
        again = account([post("ann")], Tallied(Tally("", tries), 1, refused(dan=9, eve=9)), stored=stored)
        assert (again.tries, again.refused.pairs, again.tickets) == ((tries, 2, 0) if own else (stored.tries, 1, 1))


def test_times_that_are_not_known_are_left_out() -> None:
    """Posts of an older version count, their times do not."""
    found = account([post("ann"), post("bob", times=Times())])

    assert (found.untimed, found.upload_ms.count, found.rendered_ms.count) == (1, 1, 1)


def test_reasons_are_bounded() -> None:
    """As many as the limit by name; of one more than the limit the rarest is counted with others."""
    posts = [
        post(f"u{n}-{n2}", state="rejected", reason=f"r{n}")
        for n in range(REASONS_MAX + 1)
        for n2 in range(1 + (n > 0))
    ]
    found = account(posts).rejected

    assert (len(found), found[OTHERS], sum(found.values())) == (REASONS_MAX + 1, 1, len(posts))
    assert OTHERS not in account(posts[1:]).rejected


def test_a_moment_settles_a_minute_after_its_window() -> None:
    """From both sides."""
    sums = Sums(MOMENT, {})
    for ms, settled in ((SETTLE_MS - 1, False), (SETTLE_MS, True)):
        assert sums.account(None, {}, now_ms=CLOSES_MS + ms, stored=None).settled is settled
    assert to_ms(MOMENT.closes_at) == CLOSES_MS
