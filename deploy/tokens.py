"""Signs tokens for the users of a stack: JWTs in the form that the nodes check."""

from typing import Final, Literal

import jwt

Scope = Literal["upload", "ops"]
ALGORITHM: Final = "HS256"
USER_CHARS_MAX: Final = 128  # of a user id; nodes refuse longer ones


def token(secret: str, user: str, scope: Scope, *, now: float, ttl_s: int) -> str:
    """A bearer token of `user`, valid for `ttl_s` from `now` (unix seconds); claims sub, scope, iat, exp (RFC 7519).

    ValueError for a user id that nodes refuse, and for a token that is never valid.
    """
    if not 0 < len(user) <= USER_CHARS_MAX or not user.isprintable() or user != user.strip():
        raise ValueError(
            f"--user {user!r}: a user id has 1 to {USER_CHARS_MAX} printable characters, no blank at an end"
        )
    if ttl_s < 1:
        raise ValueError(f"--ttl {ttl_s}: a token is valid for 1 second at least")
    claims = {"sub": user, "scope": scope, "iat": int(now), "exp": int(now) + ttl_s}
    return jwt.encode(claims, secret, algorithm=ALGORITHM)
