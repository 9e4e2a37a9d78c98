"""Stands in for the autoscaler: `GET /v1/scaling?tier=…` answers the number that a file says for the tier, or 503.

python decider.py HOST PORT FILE     the file: {"worker": 100, "node": null, "lb": 2}; null is 503
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit


class Answer(BaseHTTPRequestHandler):
    """One request of KEDA."""

    def do_GET(self) -> None:
        """The number, as the autoscaler would say it."""
        tier = parse_qs(urlsplit(self.path).query).get("tier", ["worker"])[0]
        desired = json.loads(Path(sys.argv[3]).read_text())[tier]
        body = b"" if desired is None else json.dumps({"tier": tier, "desired": desired}).encode()
        self.send_response(503 if desired is None else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


if __name__ == "__main__":
    ThreadingHTTPServer((sys.argv[1], int(sys.argv[2])), Answer).serve_forever()
