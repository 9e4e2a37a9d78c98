"""bench.contests.chart: well-formed, a bar for each, within the page."""

from xml.etree import ElementTree as ET

from bench.contests.chart import COLOURS, CPU_UNIT, LEFT, WIDTH, svg
from bench.rows import Row

ROWS = (
    Row(case="no body, keep-alive", unit=CPU_UNIT, ours=0.02, peers={"haproxy": 0.01, "nginx": 0.2}, ratio=2, aim=1.5),
    Row(case="no body, keep-alive", unit="requests/s", ours=9.0),
)


def test_every_cpu_row_is_drawn_to_scale() -> None:
    """A bar for each balancer, ours twice as long as HAProxy's, none past the edge, other units left out."""
    tree = ET.fromstring(svg(ROWS))  # noqa: S314 - our own text
    bars = [found for found in tree.iter("{http://www.w3.org/2000/svg}rect") if found.get("x") == str(LEFT)]
    lengths = [float(bar.get("width", "0")) for bar in bars]

    assert [bar.get("fill") for bar in bars] == list(COLOURS.values())
    assert abs(lengths[0] - 2 * lengths[1]) < 0.2
    assert LEFT + max(lengths) < WIDTH
    assert "requests/s" not in ET.tostring(tree, encoding="unicode")
