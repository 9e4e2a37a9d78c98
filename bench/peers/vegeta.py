"""vegeta, an open-loop load generator in Go: the peer of our generator that is closest to it.

It sends the same body at a constant rate, each on a connection of its own, at full speed: it knows no uplinks.
"""

from pathlib import Path
from typing import Final

from . import go

VERSION: Final = "v12.13.0"
MODULE: Final = "github.com/tsenart/vegeta/v12"


def program() -> str:
    """The path of vegeta, which is built if missing; StartError when the build fails."""
    return go.built("vegeta", MODULE, VERSION, MODULE)


def command(folder: Path, url: str, body: bytes, rate: int, seconds: int) -> list[str]:
    """Write the request into the folder and return the command that sends it; its results stand in `vegeta.bin`."""
    (folder / "body").write_bytes(body)
    targets = folder / "targets"
    targets.write_text(f"POST {url}\nContent-Type: application/octet-stream\n@{folder / 'body'}\n")
    return [
        *(program(), "attack", "-keepalive=false", f"-rate={rate}", f"-duration={seconds}s", "-max-body=0"),
        *(f"-targets={targets}", f"-output={folder / 'vegeta.bin'}"),
    ]
