"""The table of calls agrees with the contract and with the errors."""

from ingest.calls import CALLS
from ingest.errors import CODES


def test_every_call_of_the_contract_is_there() -> None:
    """Method and path of each."""
    assert {(call.method, call.path) for call in CALLS} == {
        ("GET", "/v1/moments"),
        ("POST", "/v1/moments"),
        ("GET", "/v1/moments/current"),
        ("GET", "/v1/moments/{moment_id}"),
        ("PATCH", "/v1/moments/{moment_id}"),
        ("DELETE", "/v1/moments/{moment_id}"),
        ("GET", "/v1/moments/{moment_id}/summary"),
        ("GET", "/v1/moments/{moment_id}/account"),
        ("GET", "/v1/moments/{moment_id}/posts"),
        ("POST", "/v1/moments/{moment_id}/posts"),
        ("GET", "/v1/uploads/{upload}"),
        ("PATCH", "/v1/uploads/{upload}"),
        ("DELETE", "/v1/uploads/{upload}"),
        ("GET", "/v1/posts/{post_id}"),
        ("GET", "/v1/posts/{post_id}/meta"),
        ("GET", "/v1/posts/{post_id}/history"),
        ("GET", "/v1/posts/{post_id}/photos/{side}/{size}"),
        ("DELETE", "/v1/posts/{post_id}"),
        ("GET", "/v1/users/{user_id}/posts"),
        ("DELETE", "/v1/users/{user_id}/posts"),
        ("GET", "/v1/users/{user_id}/export"),
        ("GET", "/v1/scaling"),
        ("GET", "/openapi.json"),
        ("GET", "/docs"),
        ("GET", "/livez"),
        ("GET", "/readyz"),
        ("GET", "/metrics"),
        ("GET", "/aboutz"),
    }


def test_errors_are_known_and_names_are_unique() -> None:
    """No call names a code that the table of errors lacks."""
    assert {code for call in CALLS for code in call.errors} <= CODES.keys()
    assert len({call.name for call in CALLS}) == len(CALLS)
