"""Tokens as the nodes check them."""

import jwt
import pytest

from deploy.tokens import token

SECRET = "a-secret-of-at-least-thirty-two-bytes"


def test_a_token_carries_subject_scope_and_end() -> None:
    """The claims are those of design section 5."""
    made = token(SECRET, "mia", "ops", now=1_800_000_000.7, ttl_s=60)

    claims = jwt.decode(made, SECRET, algorithms=["HS256"], options={"verify_exp": False, "verify_iat": False})
    assert claims == {"sub": "mia", "scope": "ops", "iat": 1_800_000_000, "exp": 1_800_000_060}


@pytest.mark.parametrize("user", ["", " ", " mia", "mia ", "mi\na", "m" * 129])
def test_a_user_that_nobody_could_tell_is_refused(user: str) -> None:
    """Nothing, blanks at an end, what cannot be printed, or too long; a blank inside a name is none of them."""
    with pytest.raises(ValueError, match="--user"):
        token(SECRET, user, "upload", now=1.0, ttl_s=60)
    assert token(SECRET, "m m", "upload", now=1.0, ttl_s=60)
