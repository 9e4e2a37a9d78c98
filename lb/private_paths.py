"""Private paths: nodes serve them inside the network, and the balancer answers 404 to clients that ask for them.

A node's `/metrics` costs CPU at each request and reveals load and names; Prometheus scrapes the nodes themselves. A
path is recognised in every spelling that a node may read as the same: percent-encoded, with a query, with dots and
slashes. Pure.
"""

import posixpath
from binascii import a2b_qp


class PrivatePaths:
    """The private paths of a comma-separated list; raises ValueError for one not in normal form."""

    def __init__(self, paths: str) -> None:
        found = [path.strip() for path in paths.split(",") if path.strip()]
        for path in found:
            if not path.startswith("/") or not path.isascii() or _normalised(path.encode()) != path.encode():
                raise ValueError(f"{path!r} is not a path in normal form")
        self._paths = frozenset(path.encode() for path in found)
        self.starts = tuple(self._paths)  # For targets of ordinary heads, which have one spelling.

    def hide(self, target: bytes) -> bool:
        """Whether a request target (in origin form) is a private path."""
        return _normalised(target.partition(b"?")[0]) in self._paths


def _normalised(path: bytes) -> bytes:
    """The path decoded, without empty and dot segments and without a slash at its end."""
    # Quoted-printable is percent-encoding with `=`, decoded in C: `unquote` takes over 1 ms for 16 KiB of `%2e`.
    decoded = a2b_qp(path.replace(b"=", b"=3D").replace(b"%", b"="))
    return b"/" + posixpath.normpath(decoded).lstrip(b"/")
