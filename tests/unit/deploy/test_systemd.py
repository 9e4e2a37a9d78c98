"""deploy/systemd, read as data; `make test-net` starts the units as they are."""

import re
from pathlib import Path

import pytest

from processors.config import address

UNITS = Path(__file__).resolve().parents[3] / "deploy" / "systemd"
MACHINE = "10.0.0.1"


def started(unit: str) -> str:
    """The command line of a unit on a machine."""
    line = re.search(r"^ExecStart=(.+)$", (UNITS / f"snapsurge-{unit}.service").read_text(), re.MULTILINE)
    assert line
    return line[1].replace("${ADDRESS}", MACHINE)


@pytest.mark.parametrize(
    ("unit", "setting", "port"),
    [
        ("worker@", "SNAPSURGE_PROCESSORS_LISTEN", 0),  # several on a machine
        ("autoscaler", "SNAPSURGE_PROCESSORS_AUTOSCALER_LISTEN", 9100),
    ],
)
def test_workers_and_autoscalers_have_an_address_for_prometheus(unit: str, setting: str, port: int) -> None:
    """On the machine's own address, under the name that processors read."""
    given = re.search(rf"^/usr/bin/env {setting}=(\S+) /opt/snapsurge/.venv/bin/python -m processors", started(unit))

    assert given
    assert address(given[1]) == (MACHINE, port)
    assert f"`{setting}`" in (UNITS.parents[1] / "SETTINGS.md").read_text()
