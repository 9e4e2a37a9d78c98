"""Stored names: one id per user and moment, keys that spread."""

import pytest
from arq.constants import default_queue_name
from hypothesis import given
from hypothesis import strategies as st

from storage import keys

# Computed with coreutils: printf 'eu-20260131-abcdefgh\0ann' | b2sum, first 32 hex digits | xxd -r -p | base32.
KNOWN_ID = "m3acsv5gyf5m2e45d4wkr45pma-eu-20260131-abcdefgh"
KNOWN_SPREAD = "66"


def test_a_post_id_is_the_known_value() -> None:
    """The id that another implementation of BLAKE2b and base32 finds."""
    assert keys.post_id("eu-20260131-abcdefgh", "ann") == KNOWN_ID
    assert keys.spread(KNOWN_ID) == KNOWN_SPREAD


@given(
    moment_id=st.from_regex(r"[a-z0-9]{1,9}(-[a-z0-9]{1,9}){2}", fullmatch=True),
    user_id=st.text(st.characters(exclude_categories=["Cs"])),
)
def test_every_post_id_has_the_form(moment_id: str, user_id: str) -> None:
    """26 characters and the moment, which pass as an id, never a neighbour's, with a spread of two hex digits."""
    post_id = keys.post_id(moment_id, user_id)

    assert (len(post_id.partition("-")[0]), keys.moment_of(post_id)) == (26, moment_id)
    assert keys.is_post_id(post_id)
    assert post_id not in {keys.post_id(moment_id, f"{user_id}."), keys.post_id(f"{moment_id}x", user_id)}
    assert keys.spread(post_id) in keys.SPREADS


def test_moment_and_user_do_not_run_into_each_other() -> None:
    """(ab, c) and (a, bc) are two posts."""
    assert keys.post_id("ab", "c") != keys.post_id("a", "bc")


@pytest.mark.parametrize(
    "digest", ["", "a" * 25, "a" * 27, "A" * 26, "a" * 25 + "b", "a" * 25 + "1", "a" * 25 + "\n", "../" + "a" * 23]
)
def test_what_is_no_post_id(digest: str) -> None:
    """Wrong length, upper case, a last character with bits that 128 bits cannot set, a path."""
    assert not keys.is_post_id(f"{digest}-eu-20260131-abcdefgh")


@pytest.mark.parametrize("rest", ["", "-", "eu", "-eu\n", "-e/u", "-..", "--eu", "-" + "a" * 81])
def test_a_post_id_ends_in_a_moment(rest: str) -> None:
    """Without one, or with what is none, it is no id."""
    assert not keys.is_post_id("a" * 26 + rest)
    assert keys.is_post_id("a" * 26 + "-eu")


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("eu-20260131-abcdefgh", True),
        ("a", True),
        ("a" * 80, True),
        ("a" * 81, False),
        ("", False),
        ("-a", False),
        ("a-", False),
        ("a--b", False),
        ("a/b", False),
        ("..", False),
        ("EU", False),
        ("a\n", False),
    ],
)
def test_what_is_a_moment_id(text: str, fits: bool) -> None:  # noqa: FBT001 - a column of the table
    """Words and digits joined by dashes; nothing that a path or a listing could stumble over."""
    assert keys.is_moment_id(text) is fits


def test_keys_lie_under_the_prefixes_that_list_them() -> None:
    """A listing by spread and moment finds the object, and its name gives the id back."""
    moment_id = "eu-20260131-abcdefgh"

    assert keys.intake(moment_id, KNOWN_ID) == f"{KNOWN_SPREAD}/intake/{moment_id}/{KNOWN_ID}.zip"
    assert keys.media(moment_id, KNOWN_ID) == f"{KNOWN_SPREAD}/media/{moment_id}/{KNOWN_ID}.zip"
    assert keys.intake(moment_id, KNOWN_ID).startswith(keys.intake_prefix(KNOWN_SPREAD, moment_id))
    assert {key.split("/")[1] for key in (keys.intake(moment_id, KNOWN_ID), keys.media(moment_id, KNOWN_ID))} == set(
        keys.KINDS
    )
    assert keys.moment(moment_id).startswith(keys.MOMENTS_PREFIX)
    assert keys.name_in(keys.media(moment_id, KNOWN_ID)) == KNOWN_ID
    assert keys.name_in(keys.moment(moment_id)) == moment_id


def test_jobs_wait_where_arq_looks() -> None:
    """Renders on time stand in arq's default queue, and no two names are one."""
    names = [value for name, value in vars(keys).items() if name.endswith("_KEY")] + [
        *keys.QUEUE_KEYS,
        *keys.NODES_KEYS,
    ]

    assert keys.QUEUE_KEYS[1] == default_queue_name
    assert len(set(names)) == len(names)
