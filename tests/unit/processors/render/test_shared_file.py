"""The file between worker and renderer: what is not passed whole is an error, never half an object."""

import os
import resource
import subprocess
import sys

import pytest

from processors.render.shared_file import put, taken, unnamed_file
from processors.render.slot import ROOT


def test_what_is_put_is_taken() -> None:
    """All of it, and again with something shorter."""
    file = unnamed_file()
    try:
        for data in (b"a pair", b"b"):
            put(file, data)
            assert taken(file, len(data)) == data
        with pytest.raises(OSError, match="only 6 of 9 bytes"):
            taken(file, 9)
    finally:
        os.close(file)


def test_a_limit_of_file_sizes_is_an_error() -> None:
    """The system writes a part and tells no error."""
    program = (
        "from processors.render.shared_file import put, unnamed_file\n"
        f"import resource; resource.setrlimit({int(resource.RLIMIT_FSIZE)}, (6000, 6000))\n"
        "put(unnamed_file(), bytes(6000))\n"
        "try: put(unnamed_file(), bytes(6001))\n"
        "except OSError as error: print(error)\n"
    )
    told = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "only 6000 of 6001 bytes" in told.stdout
