"""The CPU rows as one SVG: a bar for each balancer relative to HAProxy (1), and the aim as a tick."""

from collections.abc import Iterable
from typing import Final

from ..drawing import page
from ..rows import OURS, Row

RIVAL: Final = "haproxy"
CPU_UNIT: Final = "CPU ms per request"
COLOURS: Final = {OURS: "#c2410c", RIVAL: "#475569", "nginx": "#94a3b8"}
LEFT: Final = 210
WIDTH: Final = 860
BAR: Final = 11
GROUP: Final = 46
TOP: Final = 74
RATIO_MAX: Final = 3.0
SCALE: Final = (WIDTH - LEFT - 110) / RATIO_MAX


def svg(found: Iterable[Row]) -> str:
    """The whole drawing, one group of bars for each CPU row."""
    rows = [row for row in found if row.unit == CPU_UNIT]
    height = TOP + GROUP * len(rows) + 14
    parts = [*_legend(), *_grid(height)]
    for index, row in enumerate(rows):
        parts += _group(row, TOP + GROUP * index)
    return page(WIDTH, height, "CPU of the balancer per request, HAProxy = 1", parts)


def _legend() -> Iterable[str]:
    x = 16
    for name, colour in COLOURS.items():
        yield f'<rect x="{x}" y="40" width="12" height="12" fill="{colour}"/><text x="{x + 17}" y="50">{name}</text>'
        x += 36 + 7 * len(name)
    yield f'<line x1="{x}" x2="{x}" y1="39" y2="53" stroke="#16a34a" stroke-width="3"/>'
    yield f'<text x="{x + 8}" y="50">aim (CPU ms at each bar; shorter is better)</text>'


def _grid(height: int) -> Iterable[str]:
    for tick in range(int(RATIO_MAX) + 1):
        x = LEFT + tick * SCALE
        yield f'<line x1="{x:.0f}" x2="{x:.0f}" y1="{TOP - 6}" y2="{height - 10}" stroke="#e2e8f0"/>'
        yield f'<text x="{x:.0f}" y="{TOP - 9}" text-anchor="middle" fill="#64748b">{tick}</text>'


def _group(row: Row, top: int) -> Iterable[str]:
    """The bars of one case; a bar longer than the chart is cut and labelled with its number."""
    yield f'<text x="{LEFT - 10}" y="{top + 23}" text-anchor="end">{row.case}</text>'
    unit = row.peers.get(RIVAL) or 1.0
    for index, (name, value) in enumerate(({OURS: row.ours} | row.peers).items()):
        # Our bar is the median of the rounds' ratios, the number that the table compares with the aim.
        ratio = row.ratio if name == OURS and row.ratio is not None else value / unit
        length, y = min(ratio, RATIO_MAX) * SCALE, top + 2 + index * (BAR + 2)
        yield f'<rect x="{LEFT}" y="{y}" width="{length:.1f}" height="{BAR}" fill="{COLOURS.get(name, "#cbd5e1")}"/>'
        if name == OURS and row.aim is not None:
            length = max(length, row.aim * SCALE)  # Puts the number to the right of the tick, not under it.
        yield f'<text x="{LEFT + length + 5:.1f}" y="{y + 9.5}" font-size="10" fill="#334155">{value:.3g}</text>'
    if row.aim is not None:
        x = LEFT + row.aim * SCALE
        yield f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{top + 15}" stroke="#16a34a" stroke-width="3"/>'
