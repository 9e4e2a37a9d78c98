"""The table of failures, and how one becomes problem+json."""

import msgspec

from ingest.errors import CODES, Refusal


def test_a_refusal_becomes_a_problem() -> None:
    """Code, status, title, what to do, request id, and what became of the bytes."""
    problem = Refusal("too-large", "send less", stored=False).problem("r-1")

    assert msgspec.to_builtins(problem) == {
        "type": "/docs/problems#too-large",
        "title": "Too many bytes",
        "status": 413,
        "code": "too-large",
        "detail": "send less",
        "request_id": "r-1",
        "stored": False,
    }


def test_stored_is_left_out_where_it_makes_no_sense() -> None:
    """A read says nothing about storing."""
    assert b"stored" not in msgspec.json.encode(Refusal("no-such-post", "none").problem("r"))


def test_every_code_of_the_contract_is_there() -> None:
    """The table of the contract, by status."""
    expected = {
        400: {"bad-request", "bad-multipart"},
        401: {"unauthenticated"},
        403: {"forbidden"},
        404: {"no-such-moment", "no-such-post"},
        408: {"too-slow"},
        409: {"already-posted", "superseded", "moment-not-open"},
        410: {"moment-closed"},
        413: {"too-large"},
        415: {"not-a-photo"},
        422: {"bad-photo"},
        429: {"rate-limited"},
        503: {"overloaded", "storage-unavailable"},
        507: {"storage-full"},
    }
    for status, codes in expected.items():
        assert codes <= {code for code, (known, _) in CODES.items() if known == status}
