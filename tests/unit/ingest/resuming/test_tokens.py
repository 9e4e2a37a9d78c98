"""The token of an upload: the node's hint, and a secret."""

import re

from ingest.resuming.tokens import hint_of, new_token


def test_the_hint_follows_from_the_nodes_name() -> None:
    """The first 8 bytes of the plain BLAKE2b; `lb` has the same example."""
    assert hint_of("127.0.0.1:9001") == "cc9b4c12c23c16b6"
    assert hint_of("a") != hint_of("b")


def test_a_token_has_the_form_that_balancers_read() -> None:
    """16 hexadecimal digits, a dot, 22 characters of base64url; never the same twice."""
    made = {new_token(hint_of("a")) for _ in range(100)}
    assert len(made) == 100
    assert all(re.fullmatch(r"[0-9a-f]{16}\.[A-Za-z0-9_-]{22}", one) for one in made)
