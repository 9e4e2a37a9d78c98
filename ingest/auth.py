"""Authentication: verifies the bearer token (JWT, HS256), with PyJWT.

`sub` is the user id, `scope` is `upload` or `ops`; `exp` and `nbf` are checked if present, with `LEEWAY_S` for clocks
that differ. A token with `aud` is for another service (RFC 7519, section 4.1.3). `iat` is not checked: it is no
condition (section 4.1.6), and a node whose clock is behind would refuse every fresh token. During the rollout of a new
secret, tokens of the previous one are accepted too. The node chooses the algorithm, never the token. Tokens are never
logged. A client learns which claim was refused only if the signature is good.
"""

import math
import time
from typing import Any, Literal, cast

import jwt
import msgspec
from aiohttp import web
from jwt.exceptions import InvalidJTIError, InvalidSubjectError
from jwt.types import Options

from .errors import Refusal
from .links import Link

Scope = Literal["upload", "ops"]

USER_ID_CHARS_MAX = 128
# Tokens of this project have 200 characters, one with the claims of an identity provider has 2,000. The limit bounds
# the work before the signature is checked: a token's head is decoded and parsed as JSON.
TOKEN_CHARS_MAX = 4096
LEEWAY_S = 5
_EXPIRED = "the token has expired (`exp`); get a new one"
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="snapsurge"'}
# Which claim is wrong, and what it should be; the first class that fits counts. PyJWT checks the signature first.
_WRONG: tuple[tuple[type[jwt.InvalidTokenError], str], ...] = (
    (jwt.ExpiredSignatureError, _EXPIRED),
    (jwt.ImmatureSignatureError, "the token is not valid yet (`nbf`); wait, or correct the clock of its issuer"),
    (jwt.InvalidAudienceError, "the token is for another service (`aud`); send one without `aud`"),
    (InvalidSubjectError, "`sub` must be a string, the user's id; a number is written in quotes"),
    (InvalidJTIError, "`jti` must be a string"),
    (jwt.MissingRequiredClaimError, "the token names no user (`sub`)"),
)
# Option names of PyJWT.
_OPTIONS: Options = {"require": ["sub"], "verify_iat": False}


class Principal(msgspec.Struct, frozen=True):
    """The authenticated user of a request, the scope of the token, and when it expires (unix s, with the leeway)."""

    user_id: str
    scope: Scope
    expires_at: float = math.inf

    def check_expiry(self) -> None:
        """Refusal when the token has expired since it was verified, which costs no second look at its signature."""
        if self.expires_at <= time.time():
            raise Refusal("unauthenticated", _EXPIRED, headers=_CHALLENGE)


# The router sets it for every call that needs a token.
PRINCIPAL = web.RequestKey("principal", Principal)
# The router sets it where a signed link served; then there may be no principal.
LINK = web.RequestKey("link", Link)


class Authenticator:
    """Verifies tokens with the current secret and, unless empty, the previous one."""

    def __init__(self, secret: str, previous: str = "") -> None:
        self._secrets = [secret, previous] if previous else [secret]

    def principal(self, authorization: str | None, *scopes: Scope) -> Principal:
        """The principal of an Authorization header; Refusal 401 without a valid token, 403 on another scope."""
        kind, _, token = (authorization or "").partition(" ")
        if kind.lower() != "bearer" or not token:
            raise Refusal("unauthenticated", "send Authorization: Bearer <token>", headers=_CHALLENGE)
        if len(token) > TOKEN_CHARS_MAX:
            raise Refusal("unauthenticated", f"a token may have {TOKEN_CHARS_MAX} characters", headers=_CHALLENGE)
        claims = self._claims(token.strip())
        user_id, scope = claims["sub"], claims.get("scope")
        if not is_user_id(user_id):
            detail = f"`sub` must have 1 to {USER_ID_CHARS_MAX} printable characters, and be neither `.` nor `..`"
            raise Refusal("unauthenticated", detail)
        _check_scope(scope, scopes)
        ends = claims.get("exp")  # a number, or PyJWT had refused it
        return Principal(user_id, cast("Scope", scope), math.inf if ends is None else int(ends) + LEEWAY_S)

    def _claims(self, token: str) -> dict[str, Any]:
        """The claims of a token signed with one of the secrets, compared in constant time (PyJWT)."""
        for secret in self._secrets:
            try:
                return jwt.decode(token, secret, algorithms=["HS256"], options=_OPTIONS, leeway=LEEWAY_S)
            except jwt.InvalidSignatureError:
                continue
            except tuple(kind for kind, _ in _WRONG) as error:
                wrong = next(text for kind, text in _WRONG if isinstance(error, kind))
                raise Refusal("unauthenticated", wrong, headers=_CHALLENGE) from None
            except (jwt.InvalidTokenError, ValueError, RecursionError):  # invalid UTF-8, JSON nested too deeply
                break
        detail = "the token is malformed, or its HS256 signature is not valid here"
        raise Refusal("unauthenticated", detail, headers=_CHALLENGE)


def is_user_id(text: str) -> bool:
    """Whether a user may have this id. Not `.` or `..`, which paths cannot have, encoded or not (WHATWG URL)."""
    return 0 < len(text) <= USER_ID_CHARS_MAX and text.isprintable() and text not in {".", ".."}


def _check_scope(scope: object, scopes: tuple[Scope, ...]) -> None:
    if scope not in ("upload", "ops") or (scopes and scope not in scopes):
        raise Refusal("forbidden", f"this needs a token with scope {' or '.join(scopes) or 'upload or ops'}")
