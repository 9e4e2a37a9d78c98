"""`stack.json`: its form, and that it is replaced whole."""

import json
from pathlib import Path

import msgspec
import pytest

from deploy import stack
from deploy.stack import Balancer, Node, Process, Server, Stack

RECORD = Stack(
    balancers=(Balancer("http://127.0.0.1:8080", "http://127.0.0.1:20000", 11),),
    nodes=(Node("a", "http://127.0.0.1:20001", 12),),
    redis="redis://127.0.0.1:20002/0",
    store="file:///srv/x",
    state="/srv/x",
    workers=(Process(14),),
    autoscaler=Process(13),
    servers=(Server("redis", 10),),
    supervisor=Process(9),
)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """The file gives the record back, and no half-written one lies about."""
    stack.write(RECORD, tmp_path)
    stack.write(RECORD, tmp_path)

    assert stack.read(tmp_path) == RECORD
    assert [path.name for path in tmp_path.iterdir()] == [stack.FILE]


def test_the_file_has_the_keys_of_the_contract(tmp_path: Path) -> None:
    """Design section 7: names and nesting, for readers that are not ours."""
    stack.write(RECORD, tmp_path)
    found = json.loads((tmp_path / stack.FILE).read_text())

    assert found["balancers"] == [{"url": "http://127.0.0.1:8080", "admin": "http://127.0.0.1:20000", "pid": 11}]
    assert found["nodes"] == [{"id": "a", "url": "http://127.0.0.1:20001", "pid": 12}]
    assert (found["workers"], found["autoscaler"]) == ([{"pid": 14}], {"pid": 13})
    assert isinstance(found["redis"], str)
    assert isinstance(found["store"], str)


def test_the_ready_line_has_exactly_its_keys() -> None:
    """`--json` prints this and nothing more."""
    line = msgspec.json.decode(msgspec.json.encode(RECORD.ready()))

    assert list(line) == ["balancers", "nodes", "redis", "store", "state"]


def test_a_stopped_stack_lists_no_process(tmp_path: Path) -> None:
    """After the end the file names nobody who might be somebody else by then."""
    stack.write(RECORD, tmp_path)
    stack.clear(tmp_path)

    found = stack.read(tmp_path)
    assert (found.balancers, found.nodes, found.workers, found.servers) == ((), (), (), ())
    assert found.autoscaler is None


def test_clearing_without_a_record_is_no_error(tmp_path: Path) -> None:
    """A stack that never became ready leaves no file, and a mangled one alone."""
    stack.clear(tmp_path)
    assert not list(tmp_path.iterdir())

    (tmp_path / stack.FILE).write_text("{")
    stack.clear(tmp_path)
    with pytest.raises(msgspec.MsgspecError):
        stack.read(tmp_path)
