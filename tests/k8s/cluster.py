"""A Kubernetes control plane in a network namespace of its own: real API server, scheduler, controllers and KEDA.

kwok plays the kubelets: machines are objects, pods become ready without running. So what a kubelet, a network plugin or
the cluster's DNS does cannot be seen here. Every process ends with the block; the namespace and its addresses are gone.
"""

import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
TOOLS = REPOSITORY / ".tools" / "k8s"
PROGRAMS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl", "kwok",
            "keda-operator", "keda-adapter")  # fmt: skip
# Inside the namespace: API server, KEDA's adapter, the program that KEDA asks.
API, ADAPTER, DECIDER = "10.77.2.2", "10.77.2.1", "10.77.3.1"
DECIDER_PORT = 9100
# The bound for everything that is waited for: far above what it takes, for a machine that does other things, too.
PATIENCE_S = 600.0
STAGES = (
    *("node/fast/node-initialize", "node/heartbeat-with-lease/node-heartbeat-with-lease"),
    *(f"pod/general/pod-{name}" for name in ("complete", "create", "delete", "init-container-completed",
                                             "init-container-running", "ready")),
)  # fmt: skip
KUBECONFIG = """apiVersion: v1
kind: Config
clusters: [{{name: test, cluster: {{server: "https://127.0.0.1:6443", certificate-authority: {pki}/ca.crt}}}}]
users: [{{name: admin, user: {{client-certificate: {pki}/admin.crt, client-key: {pki}/admin.key}}}}]
contexts: [{{name: test, context: {{cluster: test, user: admin}}}}]
current-context: test
"""


def lacking() -> str:
    """What is missing to run a control plane here; empty when nothing is."""
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        return "a control plane runs in a network namespace, which needs root on Linux"
    absent = [name for name in PROGRAMS if not (TOOLS / "bin" / name).exists()]
    if absent:
        return f"no {', '.join(absent)} in .tools/k8s/bin: `make test-k8s` builds them"
    tools = [name for name in ("ip", "nsenter", "unshare", "openssl") if shutil.which(name) is None]
    return f"no {', '.join(tools)} on PATH" if tools else ""


class UnixConnection(http.client.HTTPConnection):
    """HTTP over the socket file of `kubectl proxy`."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=30)
        self._path = path

    def connect(self) -> None:
        """To the file."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class Cluster:
    """The running control plane, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.namespace = f"snapk8s-{os.getpid()}"
        self.kubeconfig = folder / "kubeconfig"
        self.decided = folder / "decided.json"
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self, name: str, *command: str, environment: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
        """A program of the control plane inside the namespace; its log stands in the folder."""
        inside = ["nsenter", f"--net=/run/netns/{self.namespace}", *command]
        env = {**os.environ, "KUBECONFIG": str(self.kubeconfig), **(environment or {})}  # noqa: TID251 - for the child
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(inside, cwd=self.folder, env=env, stdout=log, stderr=log)
        self._processes.append(process)
        return process

    def end(self, process: subprocess.Popen[bytes]) -> None:
        """By its pid."""
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        with suppress(ValueError):
            self._processes.remove(process)

    def end_all(self) -> None:
        """In the reverse order."""
        for process in reversed(self._processes[:]):
            self.end(process)

    def kubectl(self, *arguments: str, given: str = "", check: bool = True) -> str:
        """What `kubectl` prints; AssertionError with its complaint when it fails."""
        command = ["nsenter", f"--net=/run/netns/{self.namespace}", str(TOOLS / "bin/kubectl"), *arguments]
        env = {**os.environ, "KUBECONFIG": str(self.kubeconfig)}  # noqa: TID251 - for the child
        done = subprocess.run(command, env=env, input=given, capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == 0 or not check, f"kubectl {' '.join(arguments)}: {done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def get(self, path: str) -> Any:
        """An object or a list of the API, as data; None when there is none. ConnectionError: it cannot say now."""
        assert all(process.poll() is None for process in self._processes), "a program of the control plane has ended"
        connection = UnixConnection(self.folder / "proxy.sock")
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read()
        finally:
            connection.close()
        if answer.status == http.client.NOT_FOUND:
            return None
        if answer.status != http.client.OK:
            raise ConnectionError(body.decode(errors="replace"))
        return json.loads(body)

    def decide(self, **desired: int | None) -> None:
        """What KEDA is told of each tier from now on; None: 503."""
        said = json.loads(self.decided.read_text()) if self.decided.exists() else {}
        part = self.decided.with_suffix(".part")
        part.write_text(json.dumps({"worker": None, "node": None, "lb": None, **said, **desired}))
        part.replace(self.decided)

    def replicas(self, kind: str, name: str, namespace: str = "snapsurge") -> int:
        """How many pods a workload shall have."""
        found = self.get(f"/apis/apps/v1/namespaces/{namespace}/{kind}/{name}")
        return int(found["spec"]["replicas"])

    def settled(self, kind: str, name: str, namespace: str = "snapsurge") -> bool:
        """Whether a workload has all its pods, of its newest form, and counts all of them as available."""
        found = self.get(f"/apis/apps/v1/namespaces/{namespace}/{kind}/{name}")
        status, wanted = found["status"], found["spec"]["replicas"]
        counts = {status.get(one, 0) for one in ("replicas", "updatedReplicas", "availableReplicas")}
        seen: bool = status.get("observedGeneration") == found["metadata"]["generation"]
        return seen and counts == {wanted} and status.get("currentRevision") == status.get("updateRevision")

    def pods(self, tier: str = "", namespace: str = "snapsurge") -> list[dict[str, Any]]:
        """The pods of a tier that are not on their way out."""
        query = f"?labelSelector=tier%3D{tier}" if tier else ""
        found = self.get(f"/api/v1/namespaces/{namespace}/pods{query}")["items"]
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def machine(self, name: str) -> dict[str, Any]:
        """One of the machines."""
        found: dict[str, Any] = self.get(f"/api/v1/nodes/{name}")
        return found


def until(holds: Callable[[], Any], what: str) -> Any:
    """The first true value; AssertionError when none comes, with what was waited for."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        found = None
        with suppress(OSError, KeyError, http.client.HTTPException):
            found = holds()
        if found:
            return found
        assert time.monotonic() < deadline, f"waited in vain for: {what}"
        time.sleep(0.5)


def machine(number: int, cpus: int) -> str:
    """A machine for kwok, in one of three zones."""
    size = f'cpu: "{cpus}", memory: {cpus * 4}Gi, pods: "110"'
    return f"""---
apiVersion: v1
kind: Node
metadata:
  name: m{number}
  annotations: {{kwok.x-k8s.io/node: fake}}
  labels:
    type: kwok
    kubernetes.io/hostname: m{number}
    kubernetes.io/os: linux
    topology.kubernetes.io/zone: z-{number % 3}
status:
  allocatable: {{{size}}}
  capacity: {{{size}}}
"""


@contextmanager
def namespace(name: str) -> Iterator[None]:
    """A network namespace with the addresses of the control plane on its loopback."""
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        inside = ["ip", "-n", name]
        subprocess.run([*inside, "link", "set", "lo", "up"], check=True)
        for address in (API, ADAPTER, DECIDER):
            subprocess.run([*inside, "address", "add", f"{address}/32", "dev", "lo"], check=True)
        yield
    finally:
        subprocess.run(["ip", "netns", "del", name], check=False)


def start_control_plane(cluster: Cluster) -> None:
    """etcd, API server, controllers, scheduler, kwok, and a proxy for this process; until the API server is ready."""
    binaries, pki, conf = TOOLS / "bin", cluster.folder / "pki", str(cluster.kubeconfig)
    pki.mkdir()
    subprocess.run(["bash", str(HERE / "pki.sh")], cwd=pki, check=True)
    cluster.kubeconfig.write_text(KUBECONFIG.format(pki=pki))
    client, peer = "http://127.0.0.1:2379", "http://127.0.0.1:2380"
    etcd = {"data-dir": cluster.folder / "etcd", "listen-client-urls": client, "advertise-client-urls": client}
    cluster.start("etcd", str(binaries / "etcd"), *flags({**etcd, "listen-peer-urls": peer}), "--unsafe-no-fsync")
    served = {
        "etcd-servers": client, "secure-port": 6443, "bind-address": "0.0.0.0", "advertise-address": API,  # noqa: S104 - inside
        "service-cluster-ip-range": "10.96.0.0/16", "tls-cert-file": pki / "apiserver.crt",
        "tls-private-key-file": pki / "apiserver.key", "client-ca-file": pki / "ca.crt",
        "service-account-issuer": "https://kubernetes.default.svc", "service-account-key-file": pki / "sa.pub",
        "service-account-signing-key-file": pki / "sa.key", "authorization-mode": "Node,RBAC",
        "allow-privileged": "true", "enable-aggregator-routing": "true",
        "requestheader-client-ca-file": pki / "front-ca.crt", "requestheader-allowed-names": "front-proxy-client",
        "requestheader-extra-headers-prefix": "X-Remote-Extra-", "requestheader-group-headers": "X-Remote-Group",
        "requestheader-username-headers": "X-Remote-User", "proxy-client-cert-file": pki / "proxy-client.crt",
        "proxy-client-key-file": pki / "proxy-client.key", "kubelet-client-certificate": pki / "kubelet-client.crt",
        "kubelet-client-key": pki / "kubelet-client.key",
    }  # fmt: skip
    cluster.start("apiserver", str(binaries / "kube-apiserver"), *flags(served))
    cluster.start("proxy", str(binaries / "kubectl"), "proxy", f"--unix-socket={cluster.folder / 'proxy.sock'}")
    until(lambda: cluster.get("/version"), "the API server's answer")
    for path in ("/readyz", "/healthz"):  # The controllers give up when the second one takes ten seconds.
        until(lambda at=path: cluster.kubectl("get", "--raw", at, check=False).strip() == "ok", f"{path} of the API")
    either = {"kubeconfig": conf, "authentication-kubeconfig": conf, "authorization-kubeconfig": conf}
    either["leader-elect"] = "false"
    controls = {
        "service-account-private-key-file": pki / "sa.key", "root-ca-file": pki / "ca.crt",
        "use-service-account-credentials": "true", "cluster-cidr": "10.244.0.0/16", "allocate-node-cidrs": "true",
        "cluster-signing-cert-file": pki / "ca.crt", "cluster-signing-key-file": pki / "ca.key",
    }  # fmt: skip
    cluster.start("controllers", str(binaries / "kube-controller-manager"), *flags({**either, **controls}))
    cluster.start("scheduler", str(binaries / "kube-scheduler"), *flags(either))
    stages = [f"--config={TOOLS / 'share/kwok' / stage}.yaml" for stage in STAGES]
    kwok = {
        "kubeconfig": conf, "manage-all-nodes": "false", "manage-nodes-with-label-selector": "type=kwok",
        "node-lease-duration-seconds": 40, "node-ip": API, "node-name": "kwok-controller",
        "server-address": "127.0.0.1:10247",
    }  # fmt: skip
    cluster.start("kwok", str(binaries / "kwok"), *flags(kwok), *stages)


def flags(given: dict[str, Any]) -> list[str]:
    """As a program's options."""
    return [f"--{name}={value}" for name, value in given.items()]
