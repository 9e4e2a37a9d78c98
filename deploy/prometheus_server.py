"""The Prometheus of a stack: its command line, and its configuration: deploy/prometheus with the stack's addresses."""

from pathlib import Path
from typing import Final

import msgspec

from . import servers
from .ports import HOST
from .supervisor import Program

FOLDER: Final = servers.ROOT / "deploy" / "prometheus"
# In deploy/prometheus/prometheus.yml: where the autoscaler listens, and the rules beside that file.
AUTOSCALER: Final = "http://127.0.0.1:9100"
RULES: Final = "rules/*.yml"
# The budget counts the last 28 moments: 90 days hold them when some days have none.
RETENTION: Final = "100d"
# A restarted Prometheus finds the last samples of programs that are gone: for so long, in place of five minutes, a
# query believes a sample. Six scrapes.
LOOKBACK: Final = "30s"


class PrometheusPlan(msgspec.Struct, frozen=True):
    """A Prometheus: its address, its configuration file and what stands in it, and its program."""

    url: str
    file: Path
    text: str
    program: Program


def command(port: int, file: Path, data: Path) -> list[str]:
    """The command line of Prometheus on loopback."""
    return [
        servers.prometheus_program(),
        f"--config.file={file}",
        f"--storage.tsdb.path={data}",
        f"--storage.tsdb.retention.time={RETENTION}",
        f"--query.lookback-delta={LOOKBACK}",
        f"--web.listen-address={HOST}:{port}",
    ]


def configuration(autoscaler: str) -> str:
    """The configuration for a stack whose autoscaler listens at this URL."""
    text = (FOLDER / "prometheus.yml").read_text(encoding="utf-8")
    return text.replace(AUTOSCALER, autoscaler).replace(RULES, str(FOLDER / RULES))
