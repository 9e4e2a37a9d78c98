"""nginx configured by its manual for this use: one worker, streamed bodies, keep-alive to nodes, hash on X-User."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

PACKAGE: Final = "nginx"
_CONFIG: Final = """\
daemon off;
worker_processes 1;
worker_rlimit_nofile 10000;
pid {folder}/nginx-{port}.pid;
error_log stderr error;
events {{ worker_connections 8000; }}
http {{
  access_log off;
  client_body_temp_path {folder}/nginx-{port}-body;
  proxy_temp_path {folder}/nginx-{port}-proxy;
  fastcgi_temp_path {folder}/nginx-{port}-fastcgi;
  uwsgi_temp_path {folder}/nginx-{port}-uwsgi;
  scgi_temp_path {folder}/nginx-{port}-scgi;
  client_max_body_size 256m;
  keepalive_requests 1000000;
  upstream nodes {{
    hash $http_x_user consistent;
{servers}
    keepalive 256;
    keepalive_requests 1000000;
  }}
  server {{
    listen 127.0.0.1:{port} backlog=4096{tls};
{certificate}
    location / {{
      proxy_pass http://nodes;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_request_buffering off;
    }}
  }}
}}
"""


def config(port: int, nodes: Sequence[int], folder: Path, certificate: Path | None) -> str:
    """The text of the configuration file; the certificate file holds chain and key."""
    return _CONFIG.format(
        port=port,
        folder=folder,
        servers="\n".join(f"    server 127.0.0.1:{node};" for node in nodes),
        tls=" ssl" if certificate else "",
        certificate=f"    ssl_certificate {certificate};\n    ssl_certificate_key {certificate};"
        if certificate
        else "",
    )


def command(port: int, nodes: Sequence[int], folder: Path, certificate: Path | None) -> list[str]:
    """Write the configuration into the folder and return the command that starts nginx."""
    file = folder / f"nginx-{port}.conf"
    file.write_text(config(port, nodes, folder, certificate))
    return [PACKAGE, "-p", str(folder), "-e", "stderr", "-c", str(file)]
