"""Paths that are not for clients: nodes serve them to whoever stands beside them, the balancer answers 404.

A node's `/metrics` costs it a page for each ask and tells load and names that are nobody's business; Prometheus asks
the nodes themselves. A path is told in whatever spelling a node might read as the same: percent-encoded, with a query,
with dots and slashes. Pure.
"""

import posixpath
from binascii import a2b_qp


class PrivatePaths:
    """Comma-separated paths; ValueError for one that is none."""

    def __init__(self, paths: str) -> None:
        found = [path.strip() for path in paths.split(",") if path.strip()]
        for path in found:
            if not path.startswith("/") or not path.isascii() or _normalised(path.encode()) != path.encode():
                raise ValueError(f"{path!r} is not a plain path")
        self._paths = frozenset(path.encode() for path in found)
        self.starts = tuple(self._paths)  # of a target that `ordinary.py` has proven to have one spelling

    def hide(self, target: bytes) -> bool:
        """Whether a request target, in origin form, is one of them."""
        return _normalised(target.partition(b"?")[0]) in self._paths


def _normalised(path: bytes) -> bytes:
    """The path decoded, without empty and dot segments, and without a slash at its end."""
    # Quoted-printable is percent-encoding with another sign, decoded in C: 16 KiB of `%2e` would else take over 1 ms.
    decoded = a2b_qp(path.replace(b"=", b"=3D").replace(b"%", b"="))
    return b"/" + posixpath.normpath(decoded).lstrip(b"/")
