"""The checker finds every kind of broken promise in hand-written outcomes, and nothing in good ones."""

from pathlib import Path

import pytest
from msgspec import UNSET
from msgspec.structs import replace

from tests.faults.checker import KINDS, Finding, Verdict, judge
from tests.faults.report import rows, table
from tests.faults.rounds import Played
from tests.faults.sightings import Shown, Stored
from tests.faults.witness import Answer, End, Invoke, Named, Operation, Sent, Told, Try, Witness, operations, read

CLOSES = 10_000
OK = Operation(
    op="u/0",
    moment="m",
    user="u",
    front="f1",
    back="b1",
    tries=(Try(began=9_000, ended=9_100, status=201, kept=True),),
    ending="ok",
)
BLOB = Stored(key="k1", user="u", front="f1", back="b1", received_at=9_010)
POST = Shown(id="p", user="u", front="f1", back="b1", received_at=9_010, state="ready", late=False, late_by=-990)
UNKNOWN = replace(OK, ending="unknown", tries=(Try(began=9_000, ended=9_100),))
FAILED = replace(OK, ending="fail", tries=(Try(began=9_000, ended=9_100, status=503, kept=False),))
# The first try is shed while on time; the second is accepted late, with the first try's ticket or without.
SHED = Try(began=9_000, ended=9_020, status=503, kept=False)
TICKETED = replace(OK, tries=(SHED, Try(began=11_000, ended=11_100, status=201, kept=True, first=0)))
TICKETLESS = replace(OK, tries=(SHED, Try(began=11_000, ended=11_100, status=201, kept=True, first=1)))
LATE_BLOB = replace(BLOB, received_at=11_010)
LATE_POST = replace(POST, received_at=11_010, late=True, late_by=1_010)


def judged(
    operations: tuple[Operation, ...] = (OK,), stored: tuple[Stored, ...] = (BLOB,), shown: tuple[Shown, ...] = (POST,)
) -> Verdict:
    """The verdict on these operations and posts, given the counts that match the posts."""
    counts = {
        "accepted": len(shown),
        "on_time": sum(post.late is False for post in shown),
        "late": sum(post.late is True for post in shown),
        "ready": sum(post.state == "ready" for post in shown),
        "rejected": sum(post.state == "rejected" for post in shown),
        "pending": sum(post.state == "accepted" for post in shown),
    }
    return judge(operations, stored, shown, counts, closes_at=CLOSES, margin=20)


def kinds(
    operations: tuple[Operation, ...] = (OK,), stored: tuple[Stored, ...] = (BLOB,), shown: tuple[Shown, ...] = (POST,)
) -> set[str]:
    """The kinds of the checker's findings."""
    return {finding.kind for finding in judged(operations, stored, shown).findings}


def test_a_good_round_has_no_findings() -> None:
    """One pair is acknowledged, stored, shown and on time; another was shed for good and is not stored."""
    other = replace(FAILED, op="v/0", user="v")

    assert judged((OK, other)) == Verdict(ok=1, fail=1)


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        ((), ()),
        ((BLOB,), ()),
        ((replace(BLOB, back="b2"),), (POST,)),
        ((BLOB,), (replace(POST, front="f2"),)),
    ],
)
def test_lost(stored: tuple[Stored, ...], shown: tuple[Shown, ...]) -> None:
    """An acknowledged pair is missing in the store or the API, or has other bytes there."""
    assert "lost" in kinds(stored=stored, shown=shown)


def test_of_two_rivals_that_were_both_acknowledged_one_is_lost() -> None:
    """Two pairs of one user were both answered 201, but the store can have only one of them."""
    rival = replace(OK, op="u/1", front="f2", back="b2")

    assert kinds(operations=(OK, rival)) == {"lost"}
    assert kinds(operations=(OK, replace(rival, ending="fail"))) == set()


def test_half() -> None:
    """An object is no whole pair, or a record lacks a photo."""
    assert "half" in kinds(stored=(replace(BLOB, broken="no back photo"),))
    assert "half" in kinds(shown=(replace(POST, back=None),))


def test_doubled() -> None:
    """A user has two objects or two posts, or a listed post is not in the store."""
    assert kinds(stored=(BLOB, replace(BLOB, key="k2"))) == {"doubled"}
    assert kinds(shown=(POST, replace(POST, id="p2"))) == {"doubled"}
    assert "doubled" in kinds(operations=(UNKNOWN,), stored=())


def test_phantom() -> None:
    """A stored pair was never sent, or every try was answered that nothing is stored."""
    assert kinds(operations=()) == {"phantom"}
    assert kinds(operations=(FAILED,)) == {"phantom"}
    assert kinds(operations=(replace(FAILED, tries=(*FAILED.tries, Try(began=9_000, ended=9_100, first=1))),)) == set()


def test_recovered_is_allowed_and_counted() -> None:
    """A stored pair of unknown outcome counts as recovered; a missing pair of unknown outcome is no finding."""
    assert judged((UNKNOWN,)) == Verdict(unknown=1, recovered=1)
    assert judged((UNKNOWN,), (), ()) == Verdict(unknown=1)


@pytest.mark.parametrize(
    "post",
    [
        replace(POST, late=True),
        replace(POST, late_by=-989),
        replace(POST, received_at=9_011, late_by=-989),
    ],
)
def test_a_flag_that_does_not_follow_from_received_at(post: Shown) -> None:
    """The flag is wrong, the milliseconds are wrong, or the time is not the receipt's."""
    assert kinds(shown=(post,)) == {"wrongly_late"}


def test_received_at_lies_in_the_try_that_counts() -> None:
    """With a ticket the first try counts, without one the second; a try without an answer may be read later."""
    assert kinds(operations=(TICKETED,)) == set()
    assert kinds(operations=(TICKETED,), stored=(LATE_BLOB,), shown=(LATE_POST,)) == {"wrongly_late"}
    assert kinds(operations=(TICKETLESS,), stored=(LATE_BLOB,), shown=(LATE_POST,)) == set()
    assert kinds(operations=(TICKETLESS,)) == {"wrongly_late"}
    assert kinds(operations=(UNKNOWN,), stored=(LATE_BLOB,), shown=(LATE_POST,)) == set()


@pytest.mark.parametrize(("received_at", "found"), [(8_979, True), (8_980, False), (9_120, False), (9_121, True)])
def test_the_margin_of_two_clocks(received_at: int, *, found: bool) -> None:
    """A time outside the try by at most the margin counts as inside."""
    late_by = received_at - CLOSES
    blob, post = replace(BLOB, received_at=received_at), replace(POST, received_at=received_at, late_by=late_by)

    assert (kinds(stored=(blob,), shown=(post,)) == {"wrongly_late"}) is found


@pytest.mark.parametrize(("received_at", "found"), [(9_000, set()), (9_100, set()), (9_500, {"wrongly_late"})])
def test_a_resumed_upload_counts_from_its_first_request(received_at: int, found: set[str]) -> None:
    """Its 104 came at 9080, its end after the moment had closed: it is on time, and no later request sets its time."""
    resumed = replace(OK, tries=(Try(began=9_000, ended=11_100, status=201, kept=True, named=9_080),))
    blob = replace(BLOB, received_at=received_at)
    post = replace(POST, received_at=received_at, late_by=received_at - CLOSES)

    assert kinds((resumed,), (blob,), (post,)) == found


@pytest.mark.parametrize(
    ("told", "found"),
    [
        ((), set()),
        (((0, 50), (50, 50), (50, 90)), set()),
        (((51, 50),), {"forgotten"}),
        (((50, 50), (49, 90)), {"forgotten"}),
    ],
)
def test_forgotten(told: tuple[tuple[int, int], ...], found: set[str]) -> None:
    """An upload's offset never goes back, and is never more than was sent."""
    resumed = replace(OK, tries=(Try(began=9_000, ended=9_100, status=201, kept=True, named=9_080, told=told),))

    assert kinds((resumed,)) == found


def test_unsettled() -> None:
    """An accepted post is never rendered, never flagged, or has renditions that differ from the record."""
    assert kinds(shown=(replace(POST, state="accepted"),)) == {"unsettled"}
    assert kinds(shown=(replace(POST, late=None),)) == {"unsettled"}
    assert kinds(shown=(replace(POST, wrong="thumb has other bytes"),)) == {"unsettled"}
    assert kinds(operations=(UNKNOWN,), shown=()) == {"unsettled"}


def test_miscounted() -> None:
    """A count is one too high or too low, or counts a post in another state."""
    good = {"accepted": 1, "on_time": 1, "late": 0, "ready": 1, "rejected": 0, "pending": 0}
    for wrong in ({"accepted": 2}, {"on_time": 0}, {"late": 1}, {"ready": 0}, {"rejected": 1}, {"pending": 1}):
        verdict = judge((OK,), (BLOB,), (POST,), good | wrong, closes_at=CLOSES, margin=20)
        assert [finding.kind for finding in verdict.findings] == ["miscounted"]


def test_refused() -> None:
    """A valid request with a valid token was answered as a client error; 408, 409 and 429 are allowed."""
    for status, found in ((400, True), (401, True), (408, False), (409, False), (429, False), (503, False)):
        failed = replace(FAILED, tries=(replace(FAILED.tries[0], status=status),))
        assert (kinds(operations=(failed,), stored=(), shown=()) == {"refused"}) is found


def test_the_log_says_what_happened(tmp_path: Path) -> None:
    """The log is read back as written; an incomplete last line or a missing end makes the outcome unknown."""
    lines = (
        Invoke(op="u/0", moment="m", user="u", front="f1", back="b1"),
        Sent(op="u/0", number=0, at=9_000, first=0),
        Answer(op="u/0", number=0, at=9_020, status=503, kept=False, ticket=True),
        Sent(op="u/0", number=1, at=11_000, first=0),
        Answer(op="u/0", number=1, at=11_100, status=201, kept=True),
        End(op="u/0", ending="ok"),
    )
    with Witness(tmp_path / "log") as witness:
        for line in lines:
            witness.note(line)
    assert read(tmp_path / "log") == (TICKETED,)

    (tmp_path / "log").write_bytes((tmp_path / "log").read_bytes()[:-5])
    assert [one.ending for one in read(tmp_path / "log")] == ["unknown"]
    assert operations(lines[:2])[0].tries == (Try(began=9_000),)


def test_the_log_of_a_resumed_upload() -> None:
    """A try has the time of its 104 and each offset that it was told, also when nothing follows."""
    lines = (
        Invoke(op="u/0", moment="m", user="u", front="f1", back="b1"),
        Sent(op="u/0", number=0, at=9_000, first=0),
        Named(op="u/0", number=0, at=9_080),
        Told(op="u/0", number=0, offset=50, sent=60),
        Told(op="u/0", number=0, offset=90, sent=90),
    )

    assert operations(lines)[0].tries == (Try(began=9_000, named=9_080, told=((50, 60), (90, 90))),)


def test_the_table_counts_by_fault_and_leaves_void_rounds_out() -> None:
    """A round counts for each of its faults; a void round counts only as void."""
    findings = tuple(Finding(kind, "u", "why") for kind in KINDS)
    played = Played(
        name="7:1",
        store="file",
        faults=("node killed", "redis flushed"),
        moment="m",
        closes_at=0,
        log=Path(),
        verdict=Verdict(ok=3, unknown=2, recovered=1, findings=findings),
    )
    found = {
        row.case: row
        for row in rows([played, replace(played, faults=("node killed",), void={"node killed": "it lived"})])
    }

    assert set(found) == {"node killed", "redis flushed", "all rounds"}
    row = found["node killed"]
    assert (row.times, row.void, row.ok, row.unknown, row.recovered, row.ours) == (1, 1, 3, 2, 1, len(KINDS))
    assert row.broken == dict.fromkeys(KINDS, 1)
    assert not row.met
    assert "node killed" in table(rows([played]))


def test_the_table_adds_what_was_resumed() -> None:
    """Counts are added over the rounds, of uploads parked at once the most is kept; other suites say nothing of it."""
    played = Played(name="7:1", store="file", faults=(), moment="m", closes_at=0, log=Path(), verdict=Verdict())
    one = replace(played, resumable={"parked at once": 5, "resumed": 2})
    two = replace(played, resumable={"parked at once": 3, "resumed": 4, "404": 1})

    assert rows([one, two])[-1].resumable == {"parked at once": 5, "resumed": 6, "404": 1}
    assert rows([played])[-1].resumable is UNSET
