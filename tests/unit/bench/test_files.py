"""A file is written whole or not at all."""

import hashlib
import os
import stat
import threading
from pathlib import Path

import pytest

from bench.errors import BenchError
from bench.files import WriteError, read_json, replacing, sha256, write, write_json


def test_new_content_replaces_the_old_at_the_end(tmp_path: Path) -> None:
    """Until then the old content is there; afterwards nothing lies beside it, and its mode is that of a new file."""
    path = tmp_path / "f"
    path.write_bytes(b"old")
    with replacing(path) as file:
        file.write(b"new")
        assert path.read_bytes() == b"old"
    (tmp_path / "ordinary").write_bytes(b"")

    assert path.read_bytes() == b"new"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["f", "ordinary"]
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE((tmp_path / "ordinary").stat().st_mode)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_leaves_what_was_there(tmp_path: Path, error: type[BaseException]) -> None:
    """Half a file is nobody's."""
    path = tmp_path / "f"
    path.write_bytes(b"old")

    def write() -> None:
        with replacing(path) as file:
            file.write(b"new")
            raise error

    with pytest.raises(error):
        write()

    assert [(one.name, one.read_bytes()) for one in tmp_path.iterdir()] == [("f", b"old")]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    """Its target gets the content."""
    (tmp_path / "link").symlink_to(tmp_path / "target")
    with replacing(tmp_path / "link") as file:
        file.write(b"new")

    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_bytes() == b"new"


def test_a_pipe_is_written_directly(tmp_path: Path) -> None:
    """It cannot be replaced."""
    path, found = tmp_path / "pipe", []
    os.mkfifo(path)
    reader = threading.Thread(target=lambda: found.append(path.read_bytes()))
    reader.start()
    with replacing(path) as file:
        file.write(b"new")
    reader.join(20)

    assert found == [b"new"]
    assert stat.S_ISFIFO(path.stat().st_mode)


def test_what_cannot_be_written_is_named(tmp_path: Path) -> None:
    """A folder that is not there, or one in the file's place."""
    with pytest.raises(WriteError, match=r"cannot write .*none/f: No such file"), replacing(tmp_path / "none" / "f"):
        pass
    with pytest.raises(WriteError, match="Is a directory"), replacing(tmp_path):
        pass


def test_an_output_that_is_a_pipe_is_written() -> None:
    """`/dev/stdout` of a pipe is a link to a name that is no file."""
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as output:
        write(Path(f"/dev/fd/{writer}"), b"new")
        os.close(writer)
        assert output.read() == b"new"


def test_a_value_is_written_as_json_into_a_new_folder(tmp_path: Path) -> None:
    """A file in the folder's place is named."""
    write_json(tmp_path / "a" / "b.json", {"one": [1]})
    assert (tmp_path / "a" / "b.json").read_text() == '{\n  "one": [\n    1\n  ]\n}\n'
    with pytest.raises(WriteError, match=r"cannot write .*b\.json/c"):
        write_json(tmp_path / "a" / "b.json" / "c", {})


def test_the_digest_is_that_of_the_content(tmp_path: Path) -> None:
    """A file that cannot be read is named."""
    (tmp_path / "f").write_bytes(b"abc")
    assert sha256(tmp_path / "f") == hashlib.sha256(b"abc").hexdigest()
    with pytest.raises(BenchError, match=r"none: No such file"):
        sha256(tmp_path / "none")


@pytest.mark.parametrize("content", [b"{", b'{"name": 5}', b'{"name": "\xff"}'])
def test_a_json_file_of_another_kind_is_named(content: bytes, tmp_path: Path) -> None:
    """Half a file, other fields, no UTF-8; and one that is not there."""
    path = tmp_path / "f.json"
    path.write_bytes(b'{"name": "a"}')
    assert read_json(path, dict[str, str], "phone book", WriteError) == {"name": "a"}
    path.write_bytes(content)
    with pytest.raises(WriteError, match=r"f\.json is no phone book: "):
        read_json(path, dict[str, str], "phone book", WriteError)
    with pytest.raises(WriteError, match="none: No such file"):
        read_json(tmp_path / "none", dict[str, str], "phone book", WriteError)


def test_a_key_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    """At any depth; readers differ in which one counts."""
    path = tmp_path / "x.json"
    path.write_text('{"a": [{"b": 1, "c": 2}]}')
    assert read_json(path, dict, "thing", BenchError) == {"a": [{"b": 1, "c": 2}]}
    path.write_text('{"a": [{"b": 1, "b": 2}]}')
    with pytest.raises(BenchError, match=r"x\.json is no thing: the key `b` is there twice"):
        read_json(path, dict, "thing", BenchError)


def test_a_folder_is_not_left_empty(tmp_path: Path) -> None:
    """When its file could not be written."""
    with pytest.raises(WriteError):
        write(tmp_path / "new" / "deep" / ("x" * 300), b"x")
    assert list(tmp_path.iterdir()) == []
