"""The token of an upload: the node's hint, and a secret."""

import re

from ingest.resuming.tokens import hint_of, new_token
from lb.holder_path import hint as named


def test_the_hint_follows_from_the_nodes_name() -> None:
    """The BLAKE2b of 8 bytes; `lb` computes the same."""
    assert hint_of("127.0.0.1:9001") == "3cff85b4c54e94b3"
    assert hint_of("127.0.0.1:9001").encode() == named("127.0.0.1:9001")
    assert hint_of("a") != hint_of("b")


def test_a_token_has_the_form_that_balancers_read() -> None:
    """16 hexadecimal digits, a dot, 22 characters of base64url; never the same twice."""
    made = {new_token(hint_of("a")) for _ in range(100)}
    assert len(made) == 100
    assert all(re.fullmatch(r"[0-9a-f]{16}\.[A-Za-z0-9_-]{22}", one) for one in made)
