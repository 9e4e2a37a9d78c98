"""Spans of pairs in a real OpenTelemetry collector, built from Go modules (`make test-otlp`).

The collector's own OTLP receiver parses what a worker sends, and its file exporter writes it as OTLP's JSON.
"""

import asyncio
import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from processors.spans import sending
from tests.e2e.test_stack_up import SMALL, until, up, upload
from tests.faults.rig import listens
from tests.otlp.build import COLLECTOR
from tests.ports import free_port
from tests.unit.processors.test_spans import AT, POST, TRACE, timed

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not COLLECTOR.exists(), reason="no collector in .tools/otlp: make test-otlp builds it"),
]
# A batch is written as it arrives; nothing is kept for later.
SETTINGS = """
receivers: {{otlp: {{protocols: {{http: {{endpoint: "127.0.0.1:{port}"}}}}}}}}
exporters: {{file: {{path: "{file}", flush_interval: 100ms}}}}
service:
  telemetry: {{metrics: {{level: none}}, logs: {{level: warn}}}}
  pipelines: {{traces: {{receivers: [otlp], exporters: [file]}}}}
"""


class Collector:
    """A running collector: its address, and what it wrote."""

    def __init__(self, port: int, file: Path) -> None:
        self.url, self._file = f"http://127.0.0.1:{port}/v1/traces", file

    def spans(self) -> list[dict[str, Any]]:
        """All spans so far."""
        text = self._file.read_text() if self._file.exists() else ""
        return [
            span
            for line in text.splitlines()
            for resource in json.loads(line)["resourceSpans"]
            for scope in resource["scopeSpans"]
            for span in scope["spans"]
        ]


@contextmanager
def collecting(folder: Path) -> Iterator[Collector]:
    """A collector that listens; at the end it stops in order and has complained of nothing."""
    port, file, said = free_port(), folder / "spans.jsonl", folder / "collector.log"
    settings = folder / "collector.yaml"
    settings.write_text(SETTINGS.format(port=port, file=file))
    with said.open("w") as log, subprocess.Popen([COLLECTOR, f"--config=file:{settings}"], stderr=log) as process:
        try:
            until(lambda: process.poll() is not None or asyncio.run(listens(port)))
            assert process.poll() is None, said.read_text()
            yield Collector(port, file)
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0, said.read_text()
        finally:
            process.kill()
    assert not [line for line in said.read_text().splitlines() if "\terror\t" in line or "\twarn\t" in line]


def test_a_collector_takes_a_span_for_each_step(tmp_path: Path) -> None:
    """With the times of the record, under the attempt's trace or that of a trusted peer; failed pairs say why."""
    with collecting(tmp_path) as collector:
        with sending(collector.url, every=1, slow_s=60) as send:
            send(POST)
            send(timed(trace=TRACE + "01", retry=True, head_ms=100))
            send(structs.replace(POST, state="rejected", reason="no photo"))
        found = until(lambda: spans if len(spans := collector.spans()) >= 25 else None)

    own = [span for span in found if span["traceId"] == POST.attempt]
    traced = [span for span in found if span["traceId"] == "ab" * 16]
    assert (len(own), len(traced)) == (16, 9)
    (whole,) = [span for span in traced if span["name"] == "pair"]
    assert whole["parentSpanId"] == "cd" * 8
    assert (whole["startTimeUnixNano"], whole["endTimeUnixNano"]) == (str(AT * 10**6), str((AT + 930) * 10**6))
    assert {span["parentSpanId"] for span in traced if span is not whole} == {whole["spanId"]}
    assert [span["status"]["message"] for span in own if span["status"].get("code") == 2] == ["no photo"]
    assert "ann" not in json.dumps(found)


def test_a_stack_sends_a_pair_to_a_collector(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The trace of a pair that was uploaded through a balancer: of all tiers, within one span, without its user."""
    with collecting(tmp_path) as collector:
        monkeypatch.setenv("SNAPSURGE_PROCESSORS_OTLP_URL", collector.url)
        monkeypatch.setenv("SNAPSURGE_PROCESSORS_OTLP_EVERY", "1")
        with up(tmp_path / "state", "--port", "0", *SMALL) as stack:
            post = upload(stack, "somebody-special")
            found = until(collector.spans)
            assert stack.stop(signal.SIGTERM) == 0

    (whole,) = [span for span in found if span["name"] == "pair"]
    assert {"key": "snapsurge.post_id", "value": {"stringValue": post["id"]}} in whole["attributes"]
    inside = [span for span in found if span is not whole]
    assert {span["parentSpanId"] for span in inside} == {whole["spanId"]}
    assert {"receive", "render"} <= {span["name"] for span in inside}
    start, end = int(whole["startTimeUnixNano"]), int(whole["endTimeUnixNano"])
    assert all(start <= int(span["startTimeUnixNano"]) <= int(span["endTimeUnixNano"]) <= end for span in inside)
    assert "somebody-special" not in json.dumps(found)
