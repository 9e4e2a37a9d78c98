"""bench.replay.burst: well-formed, to scale, within the page, and drawn even where nothing was seen."""

from itertools import pairwise
from xml.etree import ElementTree as ET

from bench.replay.burst import LEFT, PANEL, RIGHT, TOP, WIDTH, WINDOW, Panel, svg
from bench.replay.course import Course, Sample

SAMPLES = tuple(
    Sample(t=float(t), ready=max(0, 40 * (t + 2) - 3 * t * t), oldest_s=max(0.0, t / 2), workers=1 + (t > 0), desired=2)
    for t in range(-2, 20)
)
COURSE = Course(window_s=10, arrivals=(5, 40, 20, 0, 1), samples=SAMPLES)


def drawn(course: Course) -> ET.Element:
    """The drawing, parsed."""
    return ET.fromstring(svg(course))  # noqa: S314 - our own text


def numbers(path: str) -> list[tuple[float, float]]:
    """The corners of a path."""
    return [(float(x), float(y)) for x, y in (one.split(",") for one in path.strip("MZ ").split(" L"))]


def test_every_series_lies_inside_its_panel() -> None:
    """Two areas' and lines' corners, within the page's margins."""
    tree = drawn(COURSE)
    paths = [numbers(one.get("d", "")) for one in tree.iter("{http://www.w3.org/2000/svg}path")]

    assert len(paths) == 5
    for corners in paths:
        assert all(LEFT - 0.1 <= x <= WIDTH - RIGHT + 0.1 for x, _ in corners)
        assert max(y for _, y in corners) - min(y for _, y in corners) <= PANEL


def test_the_window_is_shaded_to_scale_in_every_panel() -> None:
    """From the moment to its close."""
    shades = [one for one in drawn(COURSE).iter("{http://www.w3.org/2000/svg}rect") if one.get("fill") == WINDOW][1:]
    panel = Panel(TOP, -2.0, 19.0, 1.0)

    assert len(shades) == 4
    assert {one.get("x") for one in shades} == {f"{panel.x(0):.1f}"}
    assert {one.get("width") for one in shades} == {f"{panel.x(10) - panel.x(0):.1f}"}


def test_workers_are_steps() -> None:
    """A value holds until the next look: each line of the path is level or upright."""
    tree = drawn(COURSE)
    dashed = [one for one in tree.iter("{http://www.w3.org/2000/svg}path") if one.get("stroke-width") == "2"]
    corners = numbers(dashed[0].get("d", ""))

    assert all(a[0] == b[0] or a[1] == b[1] for a, b in pairwise(corners))


def test_without_samples_the_arrivals_are_drawn() -> None:
    """A service without an autoscaler has a burst too."""
    tree = drawn(Course(window_s=10, arrivals=(5, 4)))

    assert not list(tree.iter("{http://www.w3.org/2000/svg}path"))
    assert len([one for one in tree.iter("{http://www.w3.org/2000/svg}rect") if one.get("fill") == "#475569"]) == 2
