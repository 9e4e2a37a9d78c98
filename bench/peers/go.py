"""Peers written in Go: each is built once into `.tools/bin`, by the Go on PATH or in the virtual environment."""

import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from . import backing, started


def built(name: str, module: str, version: str, package: str) -> str:
    """The path of the program, which is built if missing (90 s on two cores); StartError when the build fails."""
    target = backing.TOOLS / name
    if not target.exists():
        print(f"building {module} {version}, once", file=sys.stderr)
        go = shutil.which("go") or str(Path(sysconfig.get_path("scripts")) / "go")
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f"{name}-") as folder:
            # Some module proxies have no version list, so that `go install` cannot find a version: a temporary module
            # requires it.
            (Path(folder) / "go.mod").write_text(f"module throwaway\n\ngo 1.24\n\nrequire {module} {version}\n")
            command = ["env", "CGO_ENABLED=0", go, "build", "-mod=mod", "-trimpath", "-o", str(target), package]
            try:
                subprocess.run(command, cwd=folder, check=True)
            except (OSError, subprocess.CalledProcessError) as error:
                raise started.StartError(f"{name} could not be built ({error}): is there a Go module proxy?") from error
    return str(target)
