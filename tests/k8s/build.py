"""Builds a Kubernetes control plane from Go modules into .tools/k8s, once; what is there already is kept.

etcd, API server, controller manager, scheduler and kubectl; kwok, which plays kubelets; KEDA's operator and adapter.
The go.mod files beside this file pin all of it by hash. About twelve minutes on two idle cores, and 8 GB while it runs.
"""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent / "build"
ROOT = Path(__file__).resolve().parents[2] / ".tools" / "k8s"
VERSION = "v1.35.4"
KUBERNETES = "k8s.io/kubernetes/cmd/"
# Programs of each module, by the name that they get; the client's version is told by the linker, as Kubernetes does.
PROGRAMS: dict[str, dict[str, str]] = {
    "etcd": {"etcd": "go.etcd.io/etcd/server/v3"},
    "kubernetes": {
        name: f"{KUBERNETES}{name}"
        for name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl")
    },
    "kwok": {"kwok": "sigs.k8s.io/kwok/cmd/kwok"},
    "keda": {
        "keda-operator": "github.com/kedacore/keda/v2/cmd/operator",
        "keda-adapter": "github.com/kedacore/keda/v2/cmd/adapter",
    },
}
LINKED = {
    "kubernetes": f"-X k8s.io/component-base/version.gitVersion={VERSION} -X k8s.io/component-base/version.gitMajor=1 "
    f"-X k8s.io/component-base/version.gitMinor=35 -X k8s.io/client-go/pkg/version.gitVersion={VERSION}"
}
# Files that come with a module and that the tests apply.
SHARED = {"kwok": ("sigs.k8s.io/kwok", "kustomize/stage"), "keda": ("github.com/kedacore/keda/v2", "config")}


def environment() -> dict[str, str]:
    """Caches inside the folder, which are removed afterwards; the toolchain that is there."""
    caches = {"GOMODCACHE": str(ROOT / "gomod"), "GOCACHE": str(ROOT / "gocache")}
    return {**os.environ, **caches, "GOFLAGS": "-buildvcs=false", "GOTOOLCHAIN": "local"}  # noqa: TID251 - for the child


def missing(module: str) -> list[str]:
    """The programs of a module that are not built yet."""
    return [name for name in PROGRAMS[module] if not (ROOT / "bin" / name).exists()]


def build(module: str) -> None:
    """Build one module's programs, and keep its files that the tests apply."""
    source = ROOT / "src" / module
    shutil.copytree(HERE / module, source, dirs_exist_ok=True)
    for name in missing(module):
        began = time.monotonic()
        flags = ["-ldflags", f"-s -w {LINKED.get(module, '')}"]
        part = ROOT / "bin" / f".{name}"
        command = ["go", "build", *flags, "-o", str(part), PROGRAMS[module][name]]
        subprocess.run(command, cwd=source, env=environment(), check=True)
        part.rename(ROOT / "bin" / name)
        print(f"{name}: built in {time.monotonic() - began:.0f} s", flush=True)
    if module in SHARED and not (ROOT / "share" / module).exists():
        package, folder = SHARED[module]
        command = ["go", "list", "-m", "-f", "{{.Dir}}", package]
        found = subprocess.run(command, cwd=source, env=environment(), check=True, capture_output=True, text=True)
        shutil.copytree(Path(found.stdout.strip()) / folder, ROOT / "share" / module, copy_function=shutil.copyfile)


def main() -> int:
    """0 when everything is there; 1 with what failed."""
    if all(not missing(module) for module in PROGRAMS) and all((ROOT / "share" / one).exists() for one in SHARED):
        return 0
    if shutil.which("go") is None:
        print("the control plane is built from Go modules, and there is no `go` on PATH", file=sys.stderr)
        return 1
    (ROOT / "bin").mkdir(parents=True, exist_ok=True)
    try:
        for module in PROGRAMS:
            build(module)
    except subprocess.CalledProcessError as error:
        print(f"failed: {' '.join(map(str, error.cmd))}", file=sys.stderr)
        return 1
    # The caches are a hundred times the programs. Go makes its module cache read-only, hence its own command.
    subprocess.run(["go", "clean", "-cache", "-modcache"], env=environment(), check=False)
    shutil.rmtree(ROOT / "src", ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
