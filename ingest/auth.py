"""Who is asking: checks the bearer token (JWT, HS256), by PyJWT.

`sub` is the user id, `scope` is `upload` or `ops`; `exp` and `nbf` count where a token has them. `iat` does not: it is
no condition (RFC 7519, section 4.1.6), and a node whose clock is behind would refuse every fresh token. A token is
never logged, and why one was refused is told in general words only.
"""

from typing import Literal, cast

import jwt
import msgspec

from .errors import Refusal

Scope = Literal["upload", "ops"]

USER_ID_CHARS_MAX = 128
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="snapsurge"'}


class Principal(msgspec.Struct, frozen=True):
    """The user a request comes from, and what the token is good for."""

    user_id: str
    scope: Scope


class Authenticator:
    """Knows the secret."""

    def __init__(self, secret: str) -> None:
        self._secret = secret

    def principal(self, authorization: str | None, *scopes: Scope) -> Principal:
        """The principal of an Authorization header; Refusal 401 without a good token, 403 when its scope is another."""
        kind, _, token = (authorization or "").partition(" ")
        if kind.lower() != "bearer" or not token:
            raise Refusal("unauthenticated", "send Authorization: Bearer <token>", headers=_CHALLENGE)
        try:
            claims = jwt.decode(
                token.strip(), self._secret, algorithms=["HS256"], options={"require": ["sub"], "verify_iat": False}
            )
        except jwt.ExpiredSignatureError:
            raise Refusal("unauthenticated", "the token has expired; get a new one", headers=_CHALLENGE) from None
        except jwt.InvalidTokenError:
            raise Refusal("unauthenticated", "the token is not valid here", headers=_CHALLENGE) from None
        user_id, scope = claims["sub"], claims.get("scope")
        if not 0 < len(user_id) <= USER_ID_CHARS_MAX or not user_id.isprintable():
            raise Refusal("unauthenticated", f"`sub` must have 1 to {USER_ID_CHARS_MAX} printable characters")
        if scope not in {"upload", "ops"} or (scopes and scope not in scopes):
            raise Refusal("forbidden", f"this needs a token with scope {' or '.join(scopes) or 'upload or ops'}")
        return Principal(user_id, cast("Scope", scope))
