"""lb.holder_path: which paths name a node, and by which hash."""

import pytest

from lb.holder_path import HolderPath, hint

NAMED = b"40f89e395b66422f"
UPLOADS = HolderPath("/v1/uploads/*")


def test_the_hint_is_the_agreed_hash() -> None:
    """Nodes and balancers compute the same from the same name."""
    assert hint("a") == NAMED
    assert hint("127.0.0.1:9001") == b"3cff85b4c54e94b3"


@pytest.mark.parametrize("more", [b".x", b".", b".AZaz09_-", b".x?y", b".x/more", b".x.y"])
def test_the_segment_begins_with_the_hint(more: bytes) -> None:
    """Up to the first point; what follows the segment does not matter."""
    assert UPLOADS.hint(b"/v1/uploads/" + NAMED + more) == NAMED


@pytest.mark.parametrize(
    "target",
    [
        *(b"/v1/uploads", b"/v1/uploads/", b"/v1/uploads/*", b"/v1/uploads/" + NAMED, b"/v1/uploads/.x", b"*", b"/"),
        *(b"/v1/uploads/%b?.x" % NAMED, b"/v1/uploads/%b/.x" % NAMED, b"/v1/uploads/%b.x" % NAMED.upper()),
        *(b"/v1/uploads/0%b.x" % NAMED, b"/v1/uploads/%b.x" % NAMED[1:], b"/v1/uploads/%%34%b.x" % NAMED[1:]),
        *(b"/v1/uploads/x/%b.x" % NAMED, b"/v2/uploads/%b.x" % NAMED, b"/v1/uploadsx/%b.x" % NAMED),
    ],
)
def test_other_targets_name_nobody(target: bytes) -> None:
    """Also those that nearly do."""
    assert UPLOADS.hint(target) == b""


def test_a_pattern_may_go_on_behind_the_segment() -> None:
    """Then what follows counts too."""
    found = HolderPath("/files/*/parts")
    assert found.starts == (b"/files/",)
    assert found.hint(b"/files/%b.x/parts/7" % NAMED) == NAMED
    assert found.hint(b"/files/%b.x/partsx" % NAMED) == b""
    assert found.hint(b"/files/%b.x" % NAMED) == b""


def test_none_may_be_set() -> None:
    """Then no target starts so."""
    assert not b"/v1/uploads/x".startswith(HolderPath("").starts)


@pytest.mark.parametrize("bad", ["/v1/uploads", "v1/*", "/*/*", "/a*", "/a/*b", "/a//*", "*", "/\u00e9/*", "/a/*/"])
def test_a_pattern_has_one_segment_for_it(bad: str) -> None:
    """An error that shows an example."""
    with pytest.raises(ValueError, match="for example /v1/uploads/"):
        HolderPath(bad)
