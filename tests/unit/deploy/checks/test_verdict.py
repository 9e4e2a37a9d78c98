"""deploy.checks.verdict: what follows from all checks."""

import pytest

from deploy.checks.verdict import Check, judged, listed, size, verdict


@pytest.mark.parametrize(
    ("ends", "go", "code"),
    [
        ((True, True), True, 0),
        ((True, False), False, 1),
        ((False, None), False, 1),
        ((True, None), False, 2),
        ((), False, 2),
    ],
)
def test_go_needs_every_check_and_no_go_outweighs_not_knowing(
    ends: tuple[bool | None, ...], *, go: bool, code: int
) -> None:
    """0 go, 1 no-go, 2 could not tell; without a check nobody can tell."""
    found = verdict([Check(str(number), ok, "", "") for number, ok in enumerate(ends)])

    assert (found.go, found.exit_code) == (go, code)


def test_a_check_is_wrong_before_it_is_untold_before_it_is_right() -> None:
    """The remedy is told only if it is needed."""
    said = {"found": "good", "wanted": "w", "remedy": "r"}

    assert judged("n", ["bad", "worse"], untold="dark", **said) == Check("n", False, "bad; worse", "w", "r")
    assert judged("n", [], untold="dark", **said) == Check("n", None, "dark", "w", "r")
    assert judged("n", [], **said) == Check("n", True, "good", "w", "")


def test_lists_end_and_bytes_are_readable() -> None:
    """Five texts, then how many more; units of 1,024."""
    assert listed("abcde") == "a; b; c; d; e"
    assert listed("abcdef") == "a; b; c; d; e; and 1 more"
    assert [size(count) for count in (1023, 1024, 1536 * 2**20, 2**50)] == [
        "1023 bytes",
        "1.0 KiB",
        "1.5 GiB",
        "1024.0 TiB",
    ]
