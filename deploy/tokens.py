"""Tokens for the people and programs that use a stack: JWTs as the nodes check them."""

from typing import Final, Literal

import jwt

Scope = Literal["upload", "ops"]
ALGORITHM: Final = "HS256"


def token(secret: str, user: str, scope: Scope, *, now: float, ttl_s: int) -> str:
    """A bearer token of `user` that ends `ttl_s` after `now` (unix seconds); claims sub, scope, iat, exp (RFC 7519)."""
    claims = {"sub": user, "scope": scope, "iat": int(now), "exp": int(now) + ttl_s}
    return jwt.encode(claims, secret, algorithm=ALGORITHM)
