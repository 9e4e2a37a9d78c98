"""Who is asking: checks the bearer token (JWT, HS256), by PyJWT.

`sub` is the user id, `scope` is `upload` or `ops`; `exp` and `nbf` count where a token has them. `iat` does not: it is
no condition (RFC 7519, section 4.1.6), and a node whose clock is behind would refuse every fresh token. While a new
secret is brought in, tokens of the one before are taken too. The algorithm is ours to choose, never the token's. A
token is never logged, and why one was refused is told in general words only.
"""

from typing import Any, Literal, cast

import jwt
import msgspec
from aiohttp import web
from jwt.types import Options

from .errors import Refusal

Scope = Literal["upload", "ops"]

USER_ID_CHARS_MAX = 128
# Ours have 200; one with the claims of an identity provider has 2,000. Before its signature is checked, a token's head
# is decoded and read as JSON.
TOKEN_CHARS_MAX = 4096
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="snapsurge"'}
# As PyJWT names them.
_OPTIONS: Options = {"require": ["sub"], "verify_iat": False}


class Principal(msgspec.Struct, frozen=True):
    """The user a request comes from, and what the token is good for."""

    user_id: str
    scope: Scope


# Whom a request comes from; the router puts it there, for every call that needs a token.
PRINCIPAL = web.RequestKey("principal", Principal)


class Authenticator:
    """Knows the secrets: the one that signs now and, unless empty, the one before."""

    def __init__(self, secret: str, previous: str = "") -> None:
        self._secrets = [secret, previous] if previous else [secret]

    def principal(self, authorization: str | None, *scopes: Scope) -> Principal:
        """The principal of an Authorization header; Refusal 401 without a good token, 403 when its scope is another."""
        kind, _, token = (authorization or "").partition(" ")
        if kind.lower() != "bearer" or not token:
            raise Refusal("unauthenticated", "send Authorization: Bearer <token>", headers=_CHALLENGE)
        if len(token) > TOKEN_CHARS_MAX:
            raise Refusal("unauthenticated", f"a token may have {TOKEN_CHARS_MAX} characters", headers=_CHALLENGE)
        claims = self._claims(token.strip())
        user_id, scope = claims["sub"], claims.get("scope")
        if not 0 < len(user_id) <= USER_ID_CHARS_MAX or not user_id.isprintable():
            raise Refusal("unauthenticated", f"`sub` must have 1 to {USER_ID_CHARS_MAX} printable characters")
        _check_scope(scope, scopes)
        return Principal(user_id, cast("Scope", scope))

    def _claims(self, token: str) -> dict[str, Any]:
        """What a token says whose signature is by one of the secrets, compared in constant time (PyJWT)."""
        for secret in self._secrets:
            try:
                return jwt.decode(token, secret, algorithms=["HS256"], options=_OPTIONS)
            except jwt.InvalidSignatureError:
                continue
            except jwt.ExpiredSignatureError:
                raise Refusal("unauthenticated", "the token has expired; get a new one", headers=_CHALLENGE) from None
            except (jwt.InvalidTokenError, ValueError, RecursionError):  # bytes that are no text, JSON nested too deep
                break
        raise Refusal("unauthenticated", "the token is not valid here", headers=_CHALLENGE)


def _check_scope(scope: object, scopes: tuple[Scope, ...]) -> None:
    if scope not in ("upload", "ops") or (scopes and scope not in scopes):
        raise Refusal("forbidden", f"this needs a token with scope {' or '.join(scopes) or 'upload or ops'}")
