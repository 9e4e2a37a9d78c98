"""The dependency audit of `.ci/run`, by the real pip-audit against a service of our own: what fails, what does not."""

import importlib.util
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).resolve().parent.parent / ".ci" / "audit.py"
FIXED = [{"introduced": "0"}, {"fixed": "2.0"}]
VULNERABLE = {"mended": FIXED, "unmended": FIXED[:1]}  # name → what the service knows of its versions


@pytest.fixture(scope="module")
def audit() -> Any:
    """The script, as a module."""
    spec = importlib.util.spec_from_file_location("audit", SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Service(BaseHTTPRequestHandler):
    """Speaks OSV's one call."""

    def do_POST(self) -> None:
        """What is known of a package."""
        name = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["package"]["name"]
        affected = {"package": {"name": name, "ecosystem": "PyPI"}}
        affected["ranges"] = [{"type": "ECOSYSTEM", "events": VULNERABLE.get(name, [])}]
        known = {"vulns": [{"id": "PYSEC-1", "summary": "bad", "affected": [affected]}]} if name in VULNERABLE else {}
        body = json.dumps(known).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def options() -> Iterator[list[str]]:
    """Options that name the service."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Service) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield ["-s", "osv", "--osv-url", f"http://127.0.0.1:{server.server_port}"]
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("name", "failed", "words"), [("well", False, "0 vuln"), ("mended", True, "2.0"), ("unmended", False, "no fix")]
)
def test_only_what_has_a_fix_fails(audit: Any, options: list[str], name: str, failed: bool, words: str) -> None:  # noqa: FBT001
    """Nothing known passes; a known fault fails when a version mends it, and is printed when none does."""
    lines, found = audit.verdict(audit.asked([f"{name}==1.0"], options, 60))

    assert found is failed
    assert words in "\n".join(lines)


def test_without_a_service_there_is_one_line_and_no_failure(
    audit: Any, free_port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody listens: the build goes on, and says that nothing was asked."""
    assert audit.main(["-s", "osv", "--osv-url", f"http://127.0.0.1:{free_port}"]) == 0
    assert capsys.readouterr().out.count("\n") == 1
