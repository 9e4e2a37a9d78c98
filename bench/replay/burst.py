"""A burst as one SVG: arrivals, ready jobs, workers and the oldest job's age over the same seconds."""

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Final

import msgspec

from ..drawing import FAINT, GRID, page, ticks
from .course import Course, Sample

WIDTH: Final = 860
LEFT: Final = 64
RIGHT: Final = 20
TOP: Final = 60
PANEL: Final = 104
GAP: Final = 40
ARRIVALS: Final = "#475569"
READY: Final = "#2563eb"
WORKERS: Final = "#c2410c"
OLDEST: Final = "#16a34a"
WINDOW: Final = "#fef3c7"

Points = Sequence[tuple[float, float]]


class Panel(msgspec.Struct, frozen=True):
    """One drawing area: its upper edge, the first and the last second on its x axis, the top value of its y axis."""

    top: float
    first_s: float
    last_s: float
    most: float

    def x(self, t: float) -> float:
        """The x coordinate of a second."""
        return LEFT + (t - self.first_s) / (self.last_s - self.first_s) * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        """The y coordinate of a value."""
        return self.top + PANEL * (1 - value / self.most)

    def path(self, points: Points) -> str:
        """SVG path data of a line through the points."""
        return "M" + " L".join(f"{self.x(t):.1f},{self.y(value):.1f}" for t, value in points)


def svg(course: Course, title: str = "A burst, its queue and its workers") -> str:
    """The whole drawing; without samples only the arrivals are filled in."""
    seen = [sample.t for sample in course.samples]
    first_s, last_s = min([0.0, *seen]), max([course.window_s, float(len(course.arrivals)), *seen])
    drawings: list[tuple[str, float, Callable[[Panel], Iterable[str]]]] = [
        ("arrivals a second", max(course.arrivals, default=0), lambda panel: _bars(panel, course.arrivals)),
        ("jobs ready", _most(course, "ready"), lambda panel: _area(panel, _points(course.samples, "ready"))),
        (
            "workers (dashed: desired)",
            max(_most(course, "workers"), _most(course, "desired")),
            lambda panel: _steps(panel, course.samples),
        ),
        ("oldest ready job, seconds", _most(course, "oldest_s"), lambda panel: _line(panel, course.samples)),
    ]
    parts: list[str] = [
        f'<rect x="16" y="38" width="12" height="12" fill="{WINDOW}" stroke="{GRID}"/>',
        f'<text x="34" y="48" fill="{FAINT}">the moment\'s window; seconds after the moment below</text>',
    ]
    for index, (name, most, draw) in enumerate(drawings):
        # The same seconds below each other: the eye sees whether workers were added before the peak, whether the queue
        # drained in time, and whether workers were removed after.
        panel = Panel(TOP + 24 + index * (PANEL + GAP), first_s, last_s, max(most, 1) * 1.08)
        parts += [*_frame(panel, name, course.window_s), *draw(panel), *_axis(panel)]
    return page(WIDTH, TOP + 24 + len(drawings) * (PANEL + GAP), title, parts)


def _most(course: Course, field: str) -> float:
    return max((getattr(sample, field) for sample in course.samples), default=0)


def _points(samples: Iterable[Sample], field: str) -> Points:
    return [(sample.t, getattr(sample, field)) for sample in samples]


def _frame(panel: Panel, name: str, window_s: float) -> Iterable[str]:
    """The shaded window, the panel's name, and a grid line for each round value."""
    x, width = panel.x(0), panel.x(window_s) - panel.x(0)
    yield f'<rect x="{x:.1f}" y="{panel.top:.1f}" width="{width:.1f}" height="{PANEL}" fill="{WINDOW}"/>'
    yield f'<text x="{LEFT}" y="{panel.top - 8:.1f}" font-weight="600">{name}</text>'
    for value in ticks(0, panel.most, 4):
        # Jobs and workers are whole.
        if value != int(value) and panel.most > 2:
            continue
        y = panel.y(value)
        yield f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="{GRID}"/>'
        yield f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end" font-size="11" fill="{FAINT}">{value:g}</text>'


def _axis(panel: Panel) -> Iterable[str]:
    """The x axis with seconds below it, and a vertical line at the moment."""
    bottom = panel.top + PANEL
    x = panel.x(0)
    yield f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{panel.top:.1f}" y2="{bottom:.1f}" stroke="{FAINT}"/>'
    yield f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{bottom:.1f}" y2="{bottom:.1f}" stroke="{FAINT}"/>'
    for t in ticks(panel.first_s, panel.last_s, 10):
        place = f'x="{panel.x(t):.1f}" y="{bottom + 14:.1f}"'
        yield f'<text {place} text-anchor="middle" font-size="11" fill="{FAINT}">{t:g}</text>'


def _bars(panel: Panel, counts: Sequence[int]) -> Iterable[str]:
    for second, count in enumerate(counts):
        x, y = panel.x(second), panel.y(count)
        width, height = panel.x(second + 1) - x, panel.top + PANEL - y
        size = f'width="{max(width - 0.5, 0.5):.1f}" height="{height:.1f}"'
        yield f'<rect x="{x:.1f}" y="{y:.1f}" {size} fill="{ARRIVALS}"/>'


def _area(panel: Panel, points: Points) -> Iterable[str]:
    if points:
        closed = [(points[0][0], 0.0), *points, (points[-1][0], 0.0)]
        yield f'<path d="{panel.path(closed)} Z" fill="{READY}" fill-opacity="0.2"/>'
        yield f'<path d="{panel.path(points)}" fill="none" stroke="{READY}" stroke-width="1.5"/>'


def _steps(panel: Panel, samples: Sequence[Sample]) -> Iterable[str]:
    for field, style in (("workers", 'stroke-width="2"'), ("desired", 'stroke-width="1" stroke-dasharray="4 3"')):
        points = _points(samples, field)
        if points:
            # A value is drawn as constant until the next sample.
            held = [(later, value) for (_, value), (later, _) in pairwise(points)]
            corners = [points[0], *(corner for pair in zip(held, points[1:], strict=True) for corner in pair)]
            yield f'<path d="{panel.path(corners)}" fill="none" stroke="{WORKERS}" {style}/>'


def _line(panel: Panel, samples: Sequence[Sample]) -> Iterable[str]:
    points = _points(samples, "oldest_s")
    if points:
        yield f'<path d="{panel.path(points)}" fill="none" stroke="{OLDEST}" stroke-width="1.5"/>'
