"""Which programs are read: a stack's file, addresses, service discovery."""

from pathlib import Path

import msgspec
import pytest

from deploy import stack
from deploy.watching.targets import TARGETS_MAX, Target, TargetsUnknown, checked, of_discovery, of_stack


def test_a_stacks_file_lists_every_page_of_metrics(tmp_path: Path) -> None:
    """With tier and name."""
    body = {"metrics": [{"tier": "worker", "name": "w-1", "url": "http://127.0.0.1:9/metrics"}], "redis": "redis://x"}
    (file := tmp_path / "stack.json").write_bytes(msgspec.json.encode(body))
    assert of_stack(file) == (Target("http://127.0.0.1:9/metrics", "w-1", "worker"),)


def test_a_stack_that_lists_no_pages_has_those_of_balancers_and_nodes(tmp_path: Path) -> None:
    """As `up` writes it."""
    written = stack.Stack(
        balancers=(stack.Balancer("http://127.0.0.1:1", "http://127.0.0.1:2", 7),),
        nodes=(stack.Node("a", "http://127.0.0.1:3", 8),),
        redis="", store="", state="", workers=(), autoscaler=None, servers=(), supervisor=stack.Process(1),
    )  # fmt: skip
    stack.write(written, tmp_path)
    assert of_stack(tmp_path / stack.FILE) == (
        Target("http://127.0.0.1:2/metrics", "lb-1", "balancer"),
        Target("http://127.0.0.1:3/metrics", "a", "node"),
    )


def test_a_file_that_is_no_stack_is_told(tmp_path: Path) -> None:
    """Missing, or something else."""
    with pytest.raises(TargetsUnknown, match=r"cannot be read: No such file"):
        of_stack(tmp_path / "none.json")
    (file := tmp_path / "x.json").write_text("[1]")
    with pytest.raises(TargetsUnknown, match="not the file of a stack"):
        of_stack(file)


def test_discovery_lists_targets_by_tier_and_name() -> None:
    """As Prometheus reads it: path and scheme may be labels; one that is listed twice is read once."""
    body = [
        {"targets": ["10.0.0.1:9001"], "labels": {"tier": "node", "node": "a"}},
        {"targets": ["10.0.0.1:9001"], "labels": {"tier": "node", "node": "a"}},
        {"targets": ["[::1]:8"], "labels": {"tier": "autoscaler"}},
        {"targets": ["lb:8090"], "labels": {"__scheme__": "https", "__metrics_path__": "/m", "tier": "balancer"}},
        {"targets": []},
    ]
    found = of_discovery(msgspec.json.encode(body))
    assert found == (
        Target("http://10.0.0.1:9001/metrics", "a", "node"),
        Target("http://[::1]:8/metrics", "", "autoscaler"),
        Target("https://lb:8090/m", "", "balancer"),
    )
    assert [one.label for one in found] == ["a", "[::1]:8", "lb:8090"]


@pytest.mark.parametrize(
    "body", [b"", b"{}", b'[{"targets":"x"}]', b'[{"targets":["/etc"],"labels":{"__scheme__":"file"}}]']
)
def test_a_bad_answer_of_discovery_is_told(body: bytes) -> None:
    """Not JSON, not a list, not addresses of HTTP."""
    with pytest.raises(TargetsUnknown):
        of_discovery(body)


def test_a_list_has_an_end() -> None:
    """From both sides."""
    listed = [f"10.0.{number // 250}.{number % 250 + 1}:9" for number in range(TARGETS_MAX + 1)]
    assert len(of_discovery(msgspec.json.encode([{"targets": listed[1:]}]))) == TARGETS_MAX
    with pytest.raises(TargetsUnknown, match="at most"):
        of_discovery(msgspec.json.encode([{"targets": listed}]))


def test_an_address_without_a_path_means_metrics() -> None:
    """A path is taken as it is."""
    assert checked("http://127.0.0.1:8090") == "http://127.0.0.1:8090/metrics"
    assert checked("http://127.0.0.1:8090/") == "http://127.0.0.1:8090/metrics"
    assert checked("https://lb/x/metrics") == "https://lb/x/metrics"


@pytest.mark.parametrize("url", ["127.0.0.1:8090", "file:///etc/passwd", "http://", "http://x:0", "http://x:99999/m"])
def test_an_address_that_is_none_is_told(url: str) -> None:
    """With an example."""
    with pytest.raises(TargetsUnknown, match="like http://"):
        checked(url)


def test_names_are_safe_for_a_terminal() -> None:
    """They come from elsewhere."""
    assert Target("http://x:1/metrics", "\x1b[31ma").label == "\ufffd[31ma"
    assert Target("http://user:secret@x:1/metrics").label == "x:1"
