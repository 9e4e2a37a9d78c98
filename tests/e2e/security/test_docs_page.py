"""`/docs` in a real browser: it renders under its own policy, and the policy would be heard of if it did not."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.e2e.security.conftest import Stack

pytestmark = pytest.mark.e2e

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on PATH")
def test_the_page_renders_without_a_violation(stack: Stack, tmp_path: Path) -> None:
    """Swagger UI shows a call opened by its link; the console has no word of a Content Security Policy."""
    profile = f"--user-data-dir={tmp_path}"
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", profile]
    command = [str(CHROMIUM), *options, "--virtual-time-budget=20000", "--dump-dom"]
    shown = subprocess.run(
        [*command, f"http://127.0.0.1:{stack.front}/docs#/moments/create_moment"],
        capture_output=True,
        text=True,
        check=True,
    )
    console = [line for line in shown.stderr.splitlines() if "CONSOLE" in line]

    assert "Create a moment" in shown.stdout
    assert "Token scope: ops." in shown.stdout  # opened: its description stands inside
    assert not [line for line in console if "Content Security Policy" in line or "Refused" in line]

    guide = subprocess.run(
        [*command, f"http://127.0.0.1:{stack.front}/docs/problems"], capture_output=True, text=True, check=True
    )
    assert 'id="no-nodes"' in guide.stdout
    assert not [line for line in guide.stderr.splitlines() if "CONSOLE" in line]

    blocked = tmp_path / "blocked.html"
    blocked.write_text("<meta http-equiv=Content-Security-Policy content=\"default-src 'none'\"><script>1</script>")
    control = subprocess.run([*command, blocked.as_uri()], capture_output=True, text=True, check=True)
    assert "Content Security Policy" in control.stderr
