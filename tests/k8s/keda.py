"""KEDA in a test's control plane: its objects, its operator and its metrics adapter, and what it asks for numbers."""

import base64
import json
import sys

from tests.k8s.cluster import ADAPTER, DECIDER, DECIDER_PORT, HERE, TOOLS, Cluster, flags, until

# A Service without selector, whose endpoint is the adapter on an address of the namespace; loopback is refused.
SERVICE = f"""
apiVersion: v1
kind: Service
metadata: {{name: keda-metrics-apiserver, namespace: keda}}
spec: {{ports: [{{name: https, port: 443, targetPort: 6444}}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: keda-metrics-apiserver-1
  namespace: keda
  labels: {{kubernetes.io/service-name: keda-metrics-apiserver}}
addressType: IPv4
ports: [{{name: https, port: 6444, protocol: TCP}}]
endpoints: [{{addresses: [{ADAPTER}], conditions: {{ready: true}}}}]
"""


def start_keda(cluster: Cluster, namespace: str = "snapsurge") -> None:
    """Until the external metrics API is there."""
    config, pki = TOOLS / "share/keda", cluster.folder / "pki"
    cluster.kubectl("apply", "--server-side", "-f", str(config / "crd/bases"))
    cluster.kubectl("create", "namespace", "keda")
    cluster.kubectl("-n", "keda", "create", "serviceaccount", "keda-operator")
    for path in [*sorted((config / "rbac").glob("role*.yaml")), *(
        config / "metrics-server" / f"{name}.yaml" for name in ("role", "role_binding", "api_service")
    )]:  # fmt: skip
        cluster.kubectl("apply", "-f", str(path))
    cluster.kubectl("apply", "-f", "-", given=SERVICE)
    bundle = base64.b64encode((pki / "keda-ca.crt").read_bytes()).decode()
    patch = json.dumps({"spec": {"caBundle": bundle, "insecureSkipTLSVerify": False}})
    cluster.kubectl("patch", "apiservice", "v1beta1.external.metrics.k8s.io", "--type=merge", "-p", patch)
    (cluster.folder / "hosts").write_text(
        f"127.0.0.1 localhost keda-operator\n{DECIDER} autoscaler.{namespace}.svc\n", encoding="ascii"
    )
    conf, keda = str(cluster.kubeconfig), cluster.folder / "pki/keda"
    asked = {
        "POD_NAMESPACE": "keda", "POD_NAME": "keda-operator", "WATCH_NAMESPACE": "",
        "KEDA_CLUSTER_OBJECT_NAMESPACE": "keda",
        # On a busy machine the operator would miss its own lease and end itself.
        "KEDA_OPERATOR_LEADER_ELECTION_LEASE_DURATION": "900s",
        "KEDA_OPERATOR_LEADER_ELECTION_RENEW_DEADLINE": "800s",
        "KEDA_OPERATOR_LEADER_ELECTION_RETRY_PERIOD": "5s",
    }  # fmt: skip
    operator = {
        "zap-log-level": "info", "cert-dir": keda, "metrics-bind-address": "127.0.0.1:18080",
        "health-probe-bind-address": "127.0.0.1:18081", "metrics-service-bind-address": "127.0.0.1:9666",
        "enable-webhook-patching": "false", "enable-apiservice-patching": "false", "enable-cert-rotation": "false",
    }  # fmt: skip
    start_hosted(cluster, "keda-operator", asked, operator)
    adapter = {
        "secure-port": 6444, "bind-address": ADAPTER, "port": 18082, "kubeconfig": conf, "lister-kubeconfig": conf,
        "authentication-kubeconfig": conf, "authorization-kubeconfig": conf, "client-ca-file": keda / "ca.crt",
        "tls-cert-file": keda / "tls.crt", "tls-private-key-file": keda / "tls.key", "cert-dir": keda,
        "metrics-service-address": "keda-operator:9666",
    }  # fmt: skip
    start_hosted(cluster, "keda-adapter", asked, adapter)
    until(lambda: cluster.get("/apis/external.metrics.k8s.io/v1beta1"), "KEDA's metrics API")


def start_hosted(cluster: Cluster, name: str, environment: dict[str, str], options: dict[str, object]) -> None:
    """A program that sees the namespace's own /etc/hosts, in place of a cluster's DNS."""
    script = 'mount --make-rprivate / && mount --bind "$1" /etc/hosts && shift && exec "$@"'
    hosts = str(cluster.folder / "hosts")
    command = ["unshare", "-m", "sh", "-c", script, name, hosts, str(TOOLS / "bin" / name), *flags(options)]
    cluster.start(name, *command, environment=environment)


def start_decider(cluster: Cluster) -> None:
    """What answers for the autoscaler; every tier is 503 until `Cluster.decide`."""
    cluster.decide()
    script = str(HERE / "decider.py")
    cluster.start("decider", sys.executable, script, DECIDER, str(DECIDER_PORT), str(cluster.decided))
