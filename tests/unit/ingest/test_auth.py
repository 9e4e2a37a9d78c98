"""Tokens: good ones name a user, each kind of bad one is refused with the right status."""

import time

import jwt
import pytest

from ingest.auth import Authenticator, Principal
from ingest.errors import Refusal

SECRET = "a-secret-for-tests-of-32-characters"


def bearer(secret: str = SECRET, algorithm: str = "HS256", **claims: object) -> str:
    """An Authorization header."""
    return "Bearer " + jwt.encode({"sub": "alice", "scope": "upload"} | claims, secret, algorithm)


def test_a_good_token_names_user_and_scope() -> None:
    """With and without an expiry."""
    authenticator = Authenticator(SECRET)

    assert authenticator.principal(bearer(), "upload") == Principal("alice", "upload")
    assert authenticator.principal(bearer(scope="ops", exp=time.time() + 60)).scope == "ops"


def test_a_token_from_a_clock_that_is_ahead_of_ours_is_good() -> None:
    """`iat` says when it was issued, not from when on it counts: a node five minutes behind takes it."""
    assert Authenticator(SECRET).principal(bearer(iat=time.time() + 300)).user_id == "alice"


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Basic YWxpY2U6",
        "Bearer",
        "Bearer not.a.token",
        bearer(secret="another-secret-of-at-least-32-bytes"),
        bearer(exp=1),
        bearer(nbf=time.time() + 600),
        bearer(sub=""),
        bearer(sub="x" * 129),
        bearer(sub="a\nb"),
        bearer(algorithm="HS512", secret=SECRET * 2),
        "Bearer " + jwt.encode({"scope": "upload"}, SECRET, "HS256"),
        "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSIsInNjb3BlIjoib3BzIn0.",
    ],
)
def test_a_bad_token_is_unauthenticated(header: str | None) -> None:
    """401 with a challenge where a token would help."""
    with pytest.raises(Refusal) as refused:
        Authenticator(SECRET).principal(header)
    assert (refused.value.status, refused.value.code) == (401, "unauthenticated")


@pytest.mark.parametrize("scope", ["ops", "admin", None])
def test_another_scope_is_forbidden(scope: str | None) -> None:
    """403 says which scope it takes."""
    with pytest.raises(Refusal, match="upload") as refused:
        Authenticator(SECRET).principal(bearer(scope=scope), "upload")
    assert refused.value.status == 403


def test_a_user_id_of_128_characters_is_taken() -> None:
    """The limit is inside."""
    assert Authenticator(SECRET).principal(bearer(sub="x" * 128)).user_id == "x" * 128
