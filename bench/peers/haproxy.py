"""HAProxy configured by its manual for this use: one thread, keep-alive both ways, consistent hashing on X-User."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

PACKAGE: Final = "haproxy"
# Buffers and splicing keep the defaults of the packages. Manual tuning helps with large bodies: measured once,
# `tune.bufsize 65536` takes 0.86 of the default's CPU at 700 KB and 0.77 at 5 MB; `option splice-auto` takes 0.88 at
# 200 KB and 5 MB and saves nothing at other sizes.
_CONFIG: Final = """\
global
  nbthread 1
  maxconn 5000
defaults
  mode http
  option forwardfor
  timeout connect 1s
  timeout client 75s
  timeout server 60s
  timeout http-request 10s
  timeout http-keep-alive 75s
frontend phones
  bind 127.0.0.1:{port} backlog 4096{tls}
  default_backend nodes
backend nodes
  balance hdr(X-User)
  hash-type consistent
{servers}
"""


def config(port: int, nodes: Sequence[int], certificate: Path | None) -> str:
    """The text of the configuration file; the certificate file holds chain and key."""
    servers = "\n".join(f"  server n{node} 127.0.0.1:{node} maxconn 5000" for node in nodes)
    tls = f" ssl crt {certificate} alpn http/1.1" if certificate else ""
    return _CONFIG.format(port=port, servers=servers, tls=tls)


def command(port: int, nodes: Sequence[int], folder: Path, certificate: Path | None) -> list[str]:
    """Write the configuration into the folder and return the command that starts HAProxy."""
    file = folder / f"haproxy-{port}.cfg"
    file.write_text(config(port, nodes, certificate))
    return [PACKAGE, "-db", "-f", str(file)]
