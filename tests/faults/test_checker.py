"""The checker finds every class of broken promise in made-up outcomes, and nothing in good ones."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.faults.checker import KINDS, Finding, Verdict, judge
from tests.faults.report import rows, table
from tests.faults.rounds import Played
from tests.faults.sightings import Shown, Stored
from tests.faults.witness import Answer, End, Invoke, Operation, Sent, Try, Witness, operations, read

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
# Shed on time at the first try, accepted late at the second, with the first one's ticket or without.
SHED = Try(began=9_000, ended=9_020, status=503, kept=False)
TICKETED = replace(OK, tries=(SHED, Try(began=11_000, ended=11_100, status=201, kept=True, first=0)))
TICKETLESS = replace(OK, tries=(SHED, Try(began=11_000, ended=11_100, status=201, kept=True, first=1)))
LATE_BLOB = replace(BLOB, received_at=11_010)
LATE_POST = replace(POST, received_at=11_010, late=True, late_by=1_010)


def judged(
    operations: tuple[Operation, ...] = (OK,), stored: tuple[Stored, ...] = (BLOB,), shown: tuple[Shown, ...] = (POST,)
) -> Verdict:
    """The verdict, with the counts that these posts should have."""
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
    """What the checker finds."""
    return {finding.kind for finding in judged(operations, stored, shown).findings}


def test_a_good_round_has_no_findings() -> None:
    """Acknowledged, stored, shown, on time; and one that was shed for good and is nowhere."""
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
    """Acknowledged, but absent from the store or the API, or with other bytes there."""
    assert "lost" in kinds(stored=stored, shown=shown)


def test_of_two_rivals_that_were_both_acknowledged_one_is_lost() -> None:
    """One user, two pairs, two times 201: the store can have only one of them."""
    rival = replace(OK, op="u/1", front="f2", back="b2")

    assert kinds(operations=(OK, rival)) == {"lost"}
    assert kinds(operations=(OK, replace(rival, ending="fail"))) == set()


def test_half() -> None:
    """An object that is no whole pair, a record that lacks a photo."""
    assert "half" in kinds(stored=(replace(BLOB, broken="no back photo"),))
    assert "half" in kinds(shown=(replace(POST, back=None),))


def test_doubled() -> None:
    """Two objects, two posts, or a post that the store does not have."""
    assert kinds(stored=(BLOB, replace(BLOB, key="k2"))) == {"doubled"}
    assert kinds(shown=(POST, replace(POST, id="p2"))) == {"doubled"}
    assert "doubled" in kinds(operations=(UNKNOWN,), stored=())


def test_phantom() -> None:
    """Stored, but nobody sent it, or every try was told that nothing is stored."""
    assert kinds(operations=()) == {"phantom"}
    assert kinds(operations=(FAILED,)) == {"phantom"}
    assert kinds(operations=(replace(FAILED, tries=(*FAILED.tries, Try(began=9_000, ended=9_100, first=1))),)) == set()


def test_recovered_is_allowed_and_counted() -> None:
    """Unknown to the client and there: one recovered. Unknown and not there: nothing."""
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
    """Wrong flag, wrong milliseconds, another time than the receipt's."""
    assert kinds(shown=(post,)) == {"wrongly_late"}


def test_received_at_lies_in_the_try_that_counts() -> None:
    """With a ticket in the first try, without one in the second; a try without an answer may be read later."""
    assert kinds(operations=(TICKETED,)) == set()
    assert kinds(operations=(TICKETED,), stored=(LATE_BLOB,), shown=(LATE_POST,)) == {"wrongly_late"}
    assert kinds(operations=(TICKETLESS,), stored=(LATE_BLOB,), shown=(LATE_POST,)) == set()
    assert kinds(operations=(TICKETLESS,)) == {"wrongly_late"}
    assert kinds(operations=(UNKNOWN,), stored=(LATE_BLOB,), shown=(LATE_POST,)) == set()


@pytest.mark.parametrize(("received_at", "found"), [(8_979, True), (8_980, False), (9_120, False), (9_121, True)])
def test_the_margin_of_two_clocks(received_at: int, *, found: bool) -> None:
    """A time just outside the try counts as inside, up to the margin."""
    late_by = received_at - CLOSES
    blob, post = replace(BLOB, received_at=received_at), replace(POST, received_at=received_at, late_by=late_by)

    assert (kinds(stored=(blob,), shown=(post,)) == {"wrongly_late"}) is found


def test_unsettled() -> None:
    """Accepted and never rendered, never flagged, or rendered into something else."""
    assert kinds(shown=(replace(POST, state="accepted"),)) == {"unsettled"}
    assert kinds(shown=(replace(POST, late=None),)) == {"unsettled"}
    assert kinds(shown=(replace(POST, wrong="thumb has other bytes"),)) == {"unsettled"}
    assert kinds(operations=(UNKNOWN,), shown=()) == {"unsettled"}


def test_miscounted() -> None:
    """One post more or less than there are, or in another state."""
    good = {"accepted": 1, "on_time": 1, "late": 0, "ready": 1, "rejected": 0, "pending": 0}
    for wrong in ({"accepted": 2}, {"on_time": 0}, {"late": 1}, {"ready": 0}, {"rejected": 1}, {"pending": 1}):
        verdict = judge((OK,), (BLOB,), (POST,), good | wrong, closes_at=CLOSES, margin=20)
        assert [finding.kind for finding in verdict.findings] == ["miscounted"]


def test_refused() -> None:
    """A good request with a good token was called bad; 408, 409 and 429 have other reasons."""
    for status, found in ((400, True), (401, True), (408, False), (409, False), (429, False), (503, False)):
        failed = replace(FAILED, tries=(replace(FAILED.tries[0], status=status),))
        assert (kinds(operations=(failed,), stored=(), shown=()) == {"refused"}) is found


def test_the_log_says_what_happened(tmp_path: Path) -> None:
    """Written line by line, read back; a line that was cut off and an end that is missing mean unknown."""
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


def test_the_table_counts_by_fault_and_leaves_void_rounds_out() -> None:
    """A round counts for each of its faults; a void one counts as void."""
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
