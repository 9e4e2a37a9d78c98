"""Asks a vulnerability service about every pinned dependency, by pip-audit; its options may be given.

It fails on a vulnerability for which there is a fixed version: that is work to do. One without a fix is printed and
does not fail, for nobody could make it green. Where the service cannot be asked within its time, one line says so and
the audit is no part of the verdict: a build does not depend on the network. pip-audit alone says "no known
vulnerabilities" when it could ask about none, so its report is read and not its exit status.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

LOCK = Path(__file__).resolve().parent.parent / "requirements.lock"
FIRST_S, ALL_S, ANSWER_S = 8, 20, 4  # For one dependency, for all, for one answer.


def main(options: list[str]) -> int:
    """0: nothing to do, or nobody to ask; 1: a dependency has a fix that we do not use."""
    pins = [line.removesuffix("\\").strip() for line in LOCK.read_text().splitlines() if "==" in line]
    for some, patience_s in ((pins[:1], FIRST_S), (pins, ALL_S)):
        report = asked(some, options, patience_s)
        if not any("vulns" in one for one in report):
            print("audit: skipped, the vulnerability service cannot be asked from here")
            return 0
    lines, failed = verdict(report)
    print("\n".join(lines))
    return int(failed)


def asked(pins: list[str], options: list[str], patience_s: float) -> list[dict[str, Any]]:
    """What the service says of each; nothing when it does not say it in time."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("\n".join(pins))
        file.flush()
        words = ["-r", file.name, "--disable-pip", "--no-deps", "-f", "json", "--progress-spinner", "off"]
        command = [sys.executable, "-m", "pip_audit", *words, "--timeout", str(ANSWER_S), *options]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=patience_s, check=False)
            return list(json.loads(done.stdout)["dependencies"])
        except (subprocess.TimeoutExpired, ValueError):
            return []


def verdict(report: list[dict[str, Any]]) -> tuple[list[str], bool]:
    """Lines for people, and whether something is to be done."""
    found = [(one, vulnerability) for one in report for vulnerability in one.get("vulns", ())]
    known = sum("vulns" in one for one in report)
    lines = [f"audit: {known} of {len(report)} dependencies asked about, {len(found)} vulnerabilities"]
    for one, vulnerability in found:
        fixes = ", ".join(vulnerability["fix_versions"])
        what = f"fixed in {fixes}: `make lock`" if fixes else "no fix yet"
        lines.append(f"audit: {one['name']} {one['version']}: {vulnerability['id']}, {what}")
    return lines, any(vulnerability["fix_versions"] for _, vulnerability in found)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
