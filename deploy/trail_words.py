"""A trail as text for people: the tries, the steps as a waterfall, the log lines of all tiers in their order. Pure."""

import re
from typing import Any, Final

from .trail import Trail

WIDTH: Final = 40
BARS: Final = {"work": "#", "wait": "."}
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def words(found: Trail) -> str:
    """The trail, a few dozen lines."""
    lines = [f"{found.id}: {f'post {found.post}' if found.post else 'no post is known'}"]
    lines += [f"  try {number}  {one.at}  {one.outcome:<20} {one.program}  request {one.request}"
              for number, one in enumerate(found.tries, 1)]  # fmt: skip
    if found.history:
        lines += waterfall(found.history)
    lines += [f"  {line.at}  {line.file:<18} {said(line.said)}" for line in found.lines]
    lines += [f"  not known: {why}" for why in found.missing]
    # What a line quotes may be a client's: it begins no line and moves no cursor.
    return "\n".join(_CONTROL.sub(lambda one: f"\\x{ord(one[0]):02x}", line) for line in lines)


def waterfall(history: dict[str, Any]) -> list[str]:
    """A line for each step: `#` is work, `.` is a wait, in proportion."""
    steps = history["steps"]
    end_ms = max([step["to_ms"] for step in steps], default=0) or 1
    run = f"run {history['run']}" if history["run"] else "not rendered yet"
    sums = f"work {history['work_ms']} ms, waits {history['wait_ms']} ms"
    run += "; the stored pair cannot be read" if history.get("damaged") else ""
    lines = [f"  {history['state']}; {run}; received at {history['received_at']}; {sums}"]
    for step in steps:
        first = step["from_ms"] * WIDTH // end_ms
        # At least one character, so that a step of no length still shows.
        length = max(step["to_ms"] * WIDTH // end_ms - first, 1)
        bar = " " * min(first, WIDTH - 1) + BARS[step["kind"]] * length
        took = step["to_ms"] - step["from_ms"]
        lines.append(f"  {step['name']:<8}|{bar[:WIDTH]:<{WIDTH}}| {took:>7} ms {step['kind']}  {step['where']}")
    return lines


def said(line: dict[str, Any]) -> str:
    """What a log line says, in one line."""
    if "text" in line:
        tries = "".join(f"; {request} {outcome}" for request, _, outcome, _ in line.get("tries", ()))
        return f"{line.get('level', '')} {line['text']}{tries}"
    weight = f", one of {line['weight']}" if line.get("weight", 1) != 1 else ""
    return (
        f"{line.get('method')} {line.get('path')} {line.get('status')} at {line.get('node') or 'no node'} "
        f"in {line.get('ms')} ms{weight}"
    )
