"""Signs tokens for the users of a stack: JWTs in the form that the nodes check."""

from typing import Final, Literal

import jwt

Scope = Literal["upload", "ops"]
ALGORITHM: Final = "HS256"


def token(secret: str, user: str, scope: Scope, *, now: float, ttl_s: int) -> str:
    """A bearer token of `user`, valid for `ttl_s` from `now` (unix seconds); claims sub, scope, iat, exp (RFC 7519)."""
    claims = {"sub": user, "scope": scope, "iat": int(now), "exp": int(now) + ttl_s}
    return jwt.encode(claims, secret, algorithm=ALGORITHM)
