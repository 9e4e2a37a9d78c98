"""The last segment of an upload's URL: which node has the upload, and a secret.

`HINT.SECRET`: the hint is derived from the name under which the node is a member, so that a balancer that knows its
members asks that node first (`lb` has the same rule; neither package may import the other). The secret is the key in
the memory of the node, where the upload is bound to its user and moment. Neither says anything about node or user.
"""

import hashlib
from secrets import token_urlsafe
from typing import Final

SECRET_BYTES: Final = 16  # 22 characters of base64url


def hint_of(node: str) -> str:
    """The hint of the node with this name: its BLAKE2b of 8 bytes, in hexadecimal digits."""
    return hashlib.blake2b(node.encode(), digest_size=8).hexdigest()


def new_token(hint: str) -> str:
    """A token that was never given before."""
    return f"{hint}.{token_urlsafe(SECRET_BYTES)}"
