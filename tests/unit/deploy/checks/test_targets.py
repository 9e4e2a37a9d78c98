"""deploy.checks.targets: whom to ask."""

import json
from pathlib import Path

import pytest

from deploy import stack
from deploy.checks.targets import Target, of_stack, of_urls


def test_a_stack_file_names_programs_and_settings(tmp_path: Path) -> None:
    """As the stack writes it; MinIO's keys are known if it is the stack's own."""
    record = stack.Stack(
        balancers=(stack.Balancer("http://h:1", "http://h:2", 10),),
        nodes=(stack.Node("a", "http://h:3", 11),),
        redis="redis://h:4/0",
        store="s3://b?endpoint=http://h:5",
        state=str(tmp_path),
        workers=(),
        autoscaler=None,
        servers=(stack.Server("minio", 12),),
        shards=("redis://h:6/0", "redis://h:7/0"),
        supervisor=stack.Process(1),
    )
    stack.write(record, tmp_path)

    found = of_stack(tmp_path / stack.FILE)

    assert found.targets == (Target("http://h:2", "lb-1", "balancer"), Target("http://h:3", "a", "node"))
    assert found.environment["SNAPSURGE_SHARD_URLS"] == "redis://h:6/0,redis://h:7/0"
    assert "AWS_SECRET_ACCESS_KEY" in found.environment
    assert found.state == tmp_path


def test_workers_are_asked_where_their_metrics_are(tmp_path: Path) -> None:
    """Balancers and nodes are named already; a store of others has keys of others."""
    file = tmp_path / "stack.json"
    pages = [{"tier": tier, "name": tier, "url": f"http://h:{n}/metrics"} for n, tier in enumerate(["node", "worker"])]
    places = {"redis": "redis://h/0", "store": "file:///x", "state": "/not/here"}
    file.write_text(json.dumps({"balancers": [], "nodes": [], "metrics": pages, **places}))

    found = of_stack(file)

    assert found.targets == (Target("http://h:1", "worker", "worker"),)
    assert "AWS_SECRET_ACCESS_KEY" not in found.environment
    assert found.state is None


@pytest.mark.parametrize(("text", "words"), [(None, "there is no stack file"), ("{", "cannot be read")])
def test_a_stack_file_that_cannot_be_read_is_refused(tmp_path: Path, text: str | None, words: str) -> None:
    """Nothing could be checked."""
    file = tmp_path / "stack.json"
    if text is not None:
        file.write_text(text)

    with pytest.raises(ValueError, match=words):
        of_stack(file)


async def test_urls_are_programs_of_any_kind() -> None:
    """Each once; a name that cannot be resolved is asked all the same, so that it is told as unreachable."""
    found = await of_urls(["http://127.0.0.1:8090", "http://127.0.0.1:8090/", "http://no-such-host.invalid:1"])

    assert found.targets == (
        Target("http://127.0.0.1:8090", "127.0.0.1:8090"),
        Target("http://no-such-host.invalid:1", "no-such-host.invalid:1"),
    )
    assert found.environment == {}


@pytest.mark.parametrize("url", ["127.0.0.1:8090", "redis://h:1", "http://"])
async def test_what_is_no_url_is_refused(url: str) -> None:
    """With an example."""
    with pytest.raises(ValueError, match="http://host:port"):
        await of_urls([url])
