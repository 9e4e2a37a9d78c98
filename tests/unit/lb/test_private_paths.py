"""lb.private_paths: a path that is not for clients is told in every spelling, and no other path is taken for it."""

import pytest

from lb.private_paths import PrivatePaths

FOUND = PrivatePaths("/metrics, /internal/state")


@pytest.mark.parametrize(
    "target",
    [
        b"/metrics",
        b"/metrics?name=x",
        b"/metrics/",
        b"//metrics",
        b"/./metrics",
        b"/v1/../metrics",
        b"/%6detrics",
        b"/%6Detrics?x=/y",
        b"/v1/%2e%2E/metric%73",
        b"/metrics/x/..",
        b"/..//metrics",
        b"/internal//state",
    ],
)
def test_every_spelling_is_hidden(target: bytes) -> None:
    """What a server might read as the same path."""
    assert FOUND.hide(target)


@pytest.mark.parametrize(
    "target",
    [
        *(b"/", b"*", b"/metricsx", b"/metric", b"/v1/metrics", b"/metrics/more", b"/x?/metrics", b"/Metrics"),
        *(b"/internal", b"/v1/posts/a%20b", b"/..", b"/%2"),
    ],
)
def test_other_paths_are_not(target: bytes) -> None:
    """Also those that begin alike, or name it in a query."""
    assert not FOUND.hide(target)


def test_none_may_be_private() -> None:
    """Then nothing is hidden; what is no path is an error at start."""
    assert not PrivatePaths("").hide(b"/metrics")
    for bad in ("metrics", "/a/../b", "/a/", "/\u00e9", "/a%20"):
        with pytest.raises(ValueError, match="not a path in normal form"):
            PrivatePaths(bad)
