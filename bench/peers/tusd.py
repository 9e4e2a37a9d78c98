"""tusd 2.8 with its S3 store, configured by its manual; Go builds it once into `.tools/bin`.

Some module proxies have no version list for tusd, so that `go install` cannot find the version: a temporary module
requires it instead. tusd has no token and no per-user limit and checks no photo, so it is comparable in cost only.
"""

import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Final

from . import backing, started

VERSION: Final = "v2.8.0"
PACKAGE: Final = "github.com/tus/tusd/v2"
BUCKET: Final = "tusd"
_MODULE: Final = f"module throwaway\n\ngo 1.24\n\nrequire {PACKAGE} {VERSION}\n"


def program() -> str:
    """The path of tusd, which is built if missing (90 s on two cores); StartError when the build fails."""
    target = backing.TOOLS / "tusd"
    if not target.exists():
        print(f"building {PACKAGE} {VERSION}, once", file=sys.stderr)
        wheel = Path(sysconfig.get_path("scripts")) / "go"
        go = shutil.which("go") or str(wheel)
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="tusd-") as folder:
            (Path(folder) / "go.mod").write_text(_MODULE)
            command = ["env", "CGO_ENABLED=0", go, "build", "-mod=mod", "-trimpath", "-o", str(target)]
            try:
                subprocess.run([*command, f"{PACKAGE}/cmd/tusd"], cwd=folder, check=True)
            except (OSError, subprocess.CalledProcessError) as error:
                raise started.StartError(f"tusd could not be built ({error}): is there a Go module proxy?") from error
    return str(target)


def command(port: int, endpoint: str) -> list[str]:
    """The command that starts tusd. Hashes stay on, as by default; progress and requests are not logged."""
    store = ["-s3-bucket", BUCKET, "-s3-endpoint", endpoint]
    place = ["-host", "127.0.0.1", "-port", str(port), "-base-path", "/files/"]
    return ["env", *backing.credentials(), program(), *place, *store, "-verbose=false", "-show-greeting=false"]


def head(key: str, length: int) -> bytes:
    """The head of a request that creates and uploads one photo (tus 1.0.0): the fewest requests the protocol allows."""
    return (
        f"POST /files/ HTTP/1.1\r\nHost: lb.example\r\nTus-Resumable: 1.0.0\r\nUpload-Length: {length}\r\n"
        f"Upload-Metadata: name {key}\r\nContent-Type: application/offset+octet-stream\r\n"
        f"Content-Length: {length}\r\n\r\n"
    ).encode()
