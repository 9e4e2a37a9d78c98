"""vegeta, an open-loop load generator in Go: the peer of our generator that is closest to it.

It sends the same body at a constant rate, each on a connection of its own, at full speed: it knows no uplinks.
"""

import shutil
from pathlib import Path
from typing import Final

from .started import ROOT, StartError

MODULE: Final = "github.com/tsenart/vegeta/v12@v12.13.0"


def program() -> str:
    """The path of vegeta, from PATH or `.tools/bin`; StartError says how to get it."""
    found = shutil.which("vegeta") or shutil.which("vegeta", path=str(ROOT / ".tools" / "bin"))
    if found:
        return found
    raise StartError(f"no vegeta here: GOBIN=$PWD/.tools/bin go install {MODULE}")


def command(folder: Path, url: str, body: bytes, rate: int, seconds: int) -> list[str]:
    """Write the request into the folder and return the command that sends it; its results stand in `vegeta.bin`."""
    (folder / "body").write_bytes(body)
    targets = folder / "targets"
    targets.write_text(f"POST {url}\nContent-Type: application/octet-stream\n@{folder / 'body'}\n")
    return [
        *(program(), "attack", "-keepalive=false", f"-rate={rate}", f"-duration={seconds}s", "-max-body=0"),
        *(f"-targets={targets}", f"-output={folder / 'vegeta.bin'}"),
    ]
