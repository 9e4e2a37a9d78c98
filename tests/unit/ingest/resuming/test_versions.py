"""The table of versions, against the examples of the drafts."""

import pytest
from multidict import CIMultiDict

from ingest.resuming.versions import INTEROP, NEWEST, VERSIONS, Limits, Version, announced, integer

LIMITS = Limits(bytes_max=1000, age_s=120)
V3, V5, V6, V8 = (VERSIONS[number] for number in ("3", "5", "6", "8"))


def fields(**values: str) -> CIMultiDict[str]:
    """Header fields; `_` in a name is `-`."""
    return CIMultiDict({name.replace("_", "-"): value for name, value in values.items()})


@pytest.mark.parametrize("number", ["3", "5", "6", "8"])
def test_the_versions_of_the_field_are_served(number: str) -> None:
    """Those that URLSession and tus-js-client speak."""
    found = announced(fields(Upload_Draft_Interop_Version=number))
    assert found is not None
    assert found.number == int(number)


@pytest.mark.parametrize("number", ["", "2", "4", "7", "9", "08", "8.0", "?1", "-8", "8, 8"])
def test_any_other_version_is_an_ordinary_upload(number: str) -> None:
    """No version is guessed."""
    assert announced(fields(Upload_Draft_Interop_Version=number)) is None
    assert announced(fields()) is None


@pytest.mark.parametrize(
    ("version", "name", "value", "complete"),
    [
        (V3, "Upload-Incomplete", "?0", True),
        (V3, "Upload-Incomplete", "?1", False),
        (V3, "Upload-Complete", "?1", None),
        (V5, "Upload-Complete", "?1", True),
        (V6, "Upload-Complete", "?0", False),
        (V8, "Upload-Complete", "?1;a=b", True),
        (V8, "Upload-Incomplete", "?0", None),
        (V8, "Upload-Complete", "1", None),
        (V8, "Upload-Complete", "?1, ?1", None),
        (V8, "Upload-Complete", "", None),
    ],
)
def test_completeness_is_read_from_the_field_of_the_version(
    version: Version,
    name: str,
    value: str,
    complete: object,
) -> None:
    """Version 3 says the opposite in another field; what is no boolean is as if it were not there."""
    assert version.complete(CIMultiDict({name: value})) is complete


def test_a_field_that_comes_twice_is_ignored() -> None:
    """Two values are a list, and a list is no item."""
    twice = CIMultiDict([("Upload-Offset", "1"), ("Upload-Offset", "2")])
    assert integer(twice, "Upload-Offset") is None


@pytest.mark.parametrize(
    ("text", "number"),
    [("0", 0), ("100", 100), ("9" * 15, 10**15 - 1), ("1;x", 1), ("1" * 16, None), ("-1", None), ("1.0", None)],
)
def test_integers_are_those_of_structured_fields(text: str, number: int | None) -> None:
    """At most 15 digits, no sign, no fraction."""
    assert integer(fields(Upload_Offset=text), "Upload-Offset") == number


def test_the_interim_answer_is_that_of_each_draft() -> None:
    """Versions 3 and 5 have no limits, 6 calls the lifetime `expires`, 8 `max-age`."""
    start = "HTTP/1.1 104 Upload Resumption Supported\r\nUpload-Draft-Interop-Version: {}\r\nLocation: /u\r\n"
    assert V3.supported("/u", LIMITS) == (start.format(3) + "\r\n").encode()
    assert V5.supported("/u", LIMITS) == (start.format(5) + "\r\n").encode()
    limits = "Upload-Limit: min-size=0, max-size=1000, {}=120\r\n\r\n"
    assert V6.supported("/u", LIMITS) == (start.format(6) + limits.format("expires")).encode()
    assert V8.supported("/u", LIMITS) == (start.format(8) + limits.format("max-age")).encode()


def test_progress_has_no_location() -> None:
    """Draft -03: MUST NOT be set in the later interim answers; version 3 knows no later ones."""
    told = b"HTTP/1.1 104 Upload Resumption Supported\r\nUpload-Draft-Interop-Version: 5\r\nUpload-Offset: 50\r\n\r\n"
    assert V5.progressed(50) == told
    assert [version.number for version in VERSIONS.values() if version.progress] == [5, 6, 8]


def test_the_state_is_told_in_the_fields_of_the_version() -> None:
    """As in the examples of offset retrieval."""
    assert V3.state(100, complete=False) == {INTEROP: "3", "Upload-Incomplete": "?1", "Upload-Offset": "100"}
    assert V3.state(100, complete=True) == {INTEROP: "3", "Upload-Incomplete": "?0", "Upload-Offset": "100"}
    assert V8.state(7, complete=False) == {INTEROP: "8", "Upload-Complete": "?0", "Upload-Offset": "7"}


def test_the_end_by_an_error_is_told_in_version_8_only() -> None:
    """There a client tells by it whether to resume."""
    assert V8.ended() == {INTEROP: "8", "Upload-Complete": "?1"}
    assert V6.ended() == {INTEROP: "6"}


def test_a_patch_of_the_older_versions_may_say_nothing_of_its_end() -> None:
    """Their examples do not; draft -09 makes the field a must."""
    assert [version.complete_unless_said for version in VERSIONS.values()] == [True, True, True, None]
    assert [version.appended for version in VERSIONS.values()] == [201, 201, 201, 204]


def test_a_completed_upload_is_not_answered_again_where_the_draft_forbids_it() -> None:
    """Version 6 demands 400; the draft of 5 says nothing."""
    assert [version.number for version in VERSIONS.values() if not version.replays] == [6]


def test_the_older_versions_want_questions_without_fields() -> None:
    """HEAD and DELETE with a field of an upload are refused before version 8."""
    assert not V3.is_bare(fields(Upload_Incomplete="?0"))
    assert not V6.is_bare(fields(Upload_Offset="0"))
    assert V6.is_bare(fields(Upload_Draft_Interop_Version="6"))
    assert V8.is_bare(fields(Upload_Offset="0"))


def test_the_length_is_a_field_since_version_6() -> None:
    """Before, it followed from Content-Length alone."""
    assert [version.length(fields(Upload_Length="9")) for version in VERSIONS.values()] == [None, None, 9, 9]


def test_media_types_and_the_newest() -> None:
    """Version 8 is what OPTIONS answers when nothing is announced."""
    assert [version.number for version in VERSIONS.values() if version.typed] == [6, 8]
    assert NEWEST is V8
