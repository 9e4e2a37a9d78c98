"""Tokens: good ones name a user, each kind of bad one is refused with the right status."""

import base64
import hmac
import time

import jwt
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.auth import LEEWAY_S, Authenticator, Principal
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


def test_a_token_may_expire_after_it_was_verified() -> None:
    """With the same leeway; one without an expiry never does."""
    now = int(time.time())
    still = Authenticator(SECRET).principal(bearer(exp=now + 60))
    assert still.expires_at == now + 60 + LEEWAY_S
    still.check_expiry()
    Authenticator(SECRET).principal(bearer()).check_expiry()
    with pytest.raises(Refusal, match="expired") as refused:
        Principal("alice", "upload", expires_at=now).check_expiry()
    assert (refused.value.status, refused.value.headers) == (401, {"WWW-Authenticate": 'Bearer realm="snapsurge"'})


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


NEW, OLD, OLDER = ("a-new-secret-for-tests-of-32-characters", SECRET, "the-secret-before-that-one-of-32-characters")


def test_while_a_secret_is_rolled_the_one_before_is_taken_too() -> None:
    """Two secrets, not three; without the second only the new one; an expired token of the old is still expired."""
    rolling, rolled = Authenticator(NEW, OLD), Authenticator(NEW)

    assert rolling.principal(bearer(NEW)) == rolling.principal(bearer(OLD)) == Principal("alice", "upload")
    assert rolled.principal(bearer(NEW)) == Principal("alice", "upload")
    for authenticator, secret in ((rolling, OLDER), (rolled, OLD)):
        with pytest.raises(Refusal, match="not valid here"):
            authenticator.principal(bearer(secret))
    with pytest.raises(Refusal, match="expired"):
        rolling.principal(bearer(OLD, exp=1))


def test_no_secret_is_not_a_secret() -> None:
    """An empty second secret is none: a token signed with nothing is refused."""
    head, payload = encoded(b'{"alg":"HS256"}'), encoded(GOOD)
    signature = hmac.digest(b"", f"{head}.{payload}".encode(), "sha256")
    with pytest.raises(Refusal, match="not valid here"):
        Authenticator(NEW, "").principal(f"Bearer {head}.{payload}.{encoded(signature)}")


GOOD = b'{"sub":"alice","scope":"ops"}'
PAIR = b'{"alg":"HS256","jwk":{"kty":"oct","k":"eA"},"jku":"http://127.0.0.1:1/","kid":"../../dev/null"}'


def encoded(data: bytes) -> str:
    """Base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signed(head: bytes, payload: bytes, digest: str = "sha256", secret: str = SECRET) -> str:
    """An Authorization header with these very bytes in its token, signed by the secret."""
    message = f"{encoded(head)}.{encoded(payload)}"
    return f"Bearer {message}.{encoded(hmac.digest(secret.encode(), message.encode(), digest))}"


def test_the_token_does_not_choose_how_it_is_checked() -> None:
    """Rightly signed bytes under another algorithm's name, or none, are refused; a key in the token is not used."""
    authenticator = Authenticator(SECRET)

    assert authenticator.principal(signed(b'{"alg":"HS256"}', GOOD)).scope == "ops"
    for name in ("none", "None", "NONE", "", "RS256", "ES256", "PS256", "EdDSA", "HS384", "HS512", "hs256"):
        for token in (signed(b'{"alg":"%b"}' % name.encode(), GOOD), f"Bearer {encoded(GOOD)}.{encoded(GOOD)}."):
            with pytest.raises(Refusal, match="not valid here"):
                authenticator.principal(token)
    for digest in ("sha384", "sha512"):
        with pytest.raises(Refusal, match="not valid here"):
            authenticator.principal(signed(b'{"alg":"HS256"}', GOOD, digest))
    with pytest.raises(Refusal, match="not valid here"):
        authenticator.principal(signed(PAIR, GOOD, secret="x"))


DEEP = b"[" * 2500  # fits a token, and is deeper than a parser that recurses


@pytest.mark.parametrize(
    "payload",
    [
        *(DEEP, b'{"a":' * 2000, b"[]", b"null", b'"x"', b"\xff", b"", b"{}", b'{"sub":1}', b'{"sub":null}'),
        *(b'{"sub":"a","exp":%b}' % odd for odd in (b'"x"', b"1e999", b"NaN", b"[]", b"9" * 5000, b"null", b"-1")),
        *(b'{"sub":"a","nbf":%b}' % odd for odd in (b'"x"', b"1e999", b"NaN", b"[]", b"9" * 5000)),
        *(b'{"sub":"a","iat":%b}' % odd for odd in (b'"x"', b"1e999", b"[]")),
        *(b'{"sub":"a","scope":%b}' % odd for odd in (b"[]", b"{}", b"1", b"null", b'"OPS"', b'"upload ops"')),
        *(b'{"sub":"%b","scope":"ops"}' % odd for odd in (rb"\ud800", rb"a\u0000", rb"a\r\nb", rb"\u2028", rb"\u202e")),
    ],
    ids=lambda payload: payload[:32],
)
def test_odd_claims_under_a_good_signature_are_refused_not_a_fault(payload: bytes) -> None:
    """Whoever may sign can still send nonsense: 401 or 403, never an exception that becomes 500."""
    with pytest.raises(Refusal):
        Authenticator(SECRET).principal(signed(b'{"alg":"HS256"}', payload))


@pytest.mark.parametrize("head", [DEEP, b"[]", b"1", b"\xff", b'{"alg":["HS256"]}', b'{"alg":{}}', b'{"alg":1}', b""])
def test_an_odd_head_is_refused(head: bytes) -> None:
    """What stands before the signature is read before it is checked."""
    with pytest.raises(Refusal, match="not valid here"):
        Authenticator(SECRET).principal(signed(head, GOOD))


@given(st.text(st.characters(codec=None), max_size=200))
def test_any_header_is_a_refusal(text: str) -> None:
    """Surrogates, as aiohttp makes them of bytes that are no UTF-8, dots, anything: nobody gets in unsigned."""
    for header in (text, f"Bearer {text}", f"Bearer {text}.{text}.{text}"):
        with pytest.raises(Refusal) as refused:
            Authenticator(SECRET).principal(header)
        assert refused.value.code == "unauthenticated"
        assert SECRET not in refused.value.detail


@pytest.mark.parametrize(
    ("claims", "told"),
    [
        ({"aud": "another-service"}, "`aud`"),
        ({"sub": 17}, "`sub` must be a string"),
        ({"sub": None}, "`sub`"),
        ({"jti": 5}, "`jti`"),
        ({"nbf": 2**33}, "`nbf`"),
        ({"exp": 1}, "`exp`"),
    ],
)
def test_a_signed_token_is_told_which_claim_is_wrong(claims: dict[str, object], told: str) -> None:
    """Whoever has the secret can mend it; without a good signature nothing is told."""
    payload = msgspec.json.encode({"sub": "alice", "scope": "upload"} | claims)
    with pytest.raises(Refusal, match=told) as refused:
        Authenticator(SECRET).principal(signed(b'{"alg":"HS256"}', payload))
    assert refused.value.status == 401
    assert "WWW-Authenticate" in refused.value.headers
    with pytest.raises(Refusal, match="not valid here"):
        Authenticator(SECRET).principal(signed(b'{"alg":"HS256"}', payload, secret="x"))


@pytest.mark.parametrize(("beside_s", "good"), [(LEEWAY_S - 2, True), (LEEWAY_S + 2, False)])
def test_clocks_may_differ_by_a_few_seconds(beside_s: int, good: bool) -> None:  # noqa: FBT001
    """A token is good a little before `nbf` and a little after `exp`."""
    for claims in ({"nbf": time.time() + beside_s}, {"exp": time.time() - beside_s}):
        if good:
            assert Authenticator(SECRET).principal(bearer(**claims)).user_id == "alice"
        else:
            with pytest.raises(Refusal, match=r"`nbf`|`exp`"):
                Authenticator(SECRET).principal(bearer(**claims))
