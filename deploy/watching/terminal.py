"""Draws a view for a terminal, with rich. Everything is `Text`, so nothing that a program says is taken for markup."""

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from . import view
from .problems import UNLED
from .view import Event, Moment, View

BLOCKS: Final = " ▁▂▃▄▅▆▇█"
UNITS: Final = ("B", "KiB", "MiB", "GiB")
BAR_CELLS: Final = 10
CURVE_POINTS: Final = 40
EVENTS_SHOWN: Final = 10
OTHERS_SHOWN: Final = 3
FITS: Final = ((None, EVENTS_SHOWN), (10, 5), (5, 3), (3, 3))  # Nodes and events, for lower and lower terminals.
STYLES: Final = {"good": "green", "note": "default", "bad": "bold red"}
STATE_STYLES: Final = {view.HEALTHY: "green", view.STARTING: "cyan", view.DRAINING: "yellow"}


def drawn(found: View, nodes_max: int | None = None, events_max: int = EVENTS_SHOWN) -> Group:
    """The view with so many nodes, the worst ones, and so many events, the last ones."""
    top, events = [_head(found), _problems(found, nodes_max)], _events(found, events_max)
    parts: list[RenderableType] = [_flow(found), _nodes(found, nodes_max), _balancers(found), _queue(found)]
    return Group(*top, *parts, *_foretold(found), events)


def fitted(found: View, console: Console) -> Group:
    """The view with what this terminal has lines for; what does not fit at all is cut off below the events."""
    for nodes_max, events_max in FITS:
        whole = drawn(found, nodes_max, events_max)
        # Measured, not computed: names and reasons wrap as the width of this terminal has it.
        if len(console.render_lines(whole, pad=False)) <= console.height:
            return whole
    head, problems, *parts, events = whole.renderables
    # Events before the tables: rich cuts off what is below.
    return Group(head, problems, events, *parts)


def number(value: float | None, unit: str = "") -> str:
    """A number for people: three digits that matter; - when it is not known."""
    if value is None:
        return "-"
    if abs(value) >= 100 or value == int(value):
        return f"{value:,.0f}{unit}"
    return f"{value:.1f}{unit}" if abs(value) >= 10 else f"{value:.2g}{unit}"


def duration(seconds: float | None) -> str:
    """Seconds, or milliseconds below one."""
    if seconds is None:
        return "-"
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def size(value: float | None) -> str:
    """Bytes in the largest binary unit."""
    if value is None:
        return "-"
    power = next(power for power in (3, 2, 1, 0) if value >= 1024**power or not power)
    scaled = value / 1024**power
    digits = 0 if scaled >= 100 or not power else 1
    return f"{scaled:.{digits}f} {UNITS[power]}"


def clock(seconds: float) -> str:
    """Seconds to or since the moment."""
    whole = abs(seconds)
    text = f"{whole:.0f} s" if whole < 600 else f"{whole / 60:.0f} min"
    return f"-{text}" if seconds < 0 else f"+{text}"


def headline(moment: Moment) -> str:
    """Where the moment stands, in words."""
    left_s = moment.closes_at - moment.fires_at - moment.since_s
    if moment.phase == "before":
        return f"moment {moment.id} fires in {-moment.since_s:,.0f} s"
    if moment.phase == "open":
        return f"moment {moment.id} fired {moment.since_s:,.0f} s ago, closes in {left_s:,.0f} s"
    return f"moment {moment.id} fired {moment.since_s:,.0f} s ago, closed {-left_s:,.0f} s ago"


def _counts(moment: Moment) -> str:
    return ", ".join(f"{moment.posts[name]:,} {name.replace('_', ' ')}" for name in _STATES if name in moment.posts)


def _head(found: View) -> Text:
    if found.moment is None:
        return Text("no moment is known" if found.queue else UNLED, style="bold")
    text = Text(headline(found.moment), style="bold")
    text.append("".join(f"\n{line}" for line in (_counts(found.moment), *_others(found)) if line), style="default")
    return text


def _others(found: View) -> Iterator[str]:
    """A line for each of some other moments; of the rest their number, and when the next of them fires."""
    shown, rest = found.others[:OTHERS_SHOWN], found.others[OTHERS_SHOWN:]
    for one in shown:
        counts = _counts(one)
        yield headline(one) + (f"; {counts}" if counts else "")
    if found.moment and (more := found.moment.others - len(shown)) > 0:
        next_s = next((-one.since_s for one in rest if one.phase == "before"), None)
        yield f"and {more} more" + ("" if next_s is None else f", the next one fires in {next_s:,.0f} s")


_STATES: Final = ("accepted", "on_time", "late", "ready", "rejected", "pending")


def _problems(found: View, most: int | None) -> Text:
    if not found.problems:
        return Text(f"all well: {found.read} programs answer", style="green")
    shown = [f"! {one}" for one in found.problems[:most]]
    more = len(found.problems) - len(shown)
    return Text("\n".join([*shown, *([f"! and {more} more"] if more else [])]), style="bold red")


def _table(*columns: str) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0))
    for place, column in enumerate(columns):
        table.add_column(
            column, justify="left" if place == 0 or column == "state" else "right", no_wrap=True, header_style="dim"
        )
    return table


def _row(table: Table, cells: Sequence[str | Text]) -> None:
    table.add_row(*(cell if isinstance(cell, Text) else Text(cell) for cell in cells))


def _flow(found: View) -> Group:
    table = _table("uploads", "a second", "")
    for name in ("offered", "accepted", "shed", "late"):
        curve = sparkline([getattr(point, name) for point in found.course])
        style = "bold red" if name in {"shed", "late"} and getattr(found.flow, name) else "default"
        _row(table, (name, Text(number(getattr(found.flow, name)), style=style), Text(curve, style="blue")))
    waiting = found.queue.ready if found.queue else None
    _row(
        table, ("in the queue", number(waiting), Text(sparkline([point.ready for point in found.course]), style="blue"))
    )
    times = _table("", "p50", "p99", "")
    store = found.store.times if found.store else view.Times()
    for label, of, course in (
        ("upload time", found.uploads, [point.p99_s for point in found.course]),
        ("store commit", store, [point.store_p99_s for point in found.course]),
    ):
        _row(times, (label, duration(of.p50_s), duration(of.p99_s), Text(sparkline(course), style="blue")))
    refused = found.store.refused if found.store else {}
    words = ", ".join(f"{cause} {number(per_s)} a second" for cause, per_s in refused.items()) or "none"
    return Group(table, times, Text(f"store refusals: {words}", style="bold red" if refused else "dim"))


def _nodes(found: View, most: int | None) -> Table:
    table = _table("node", "state", "at", "ring", "load", "uploads", "bytes / budget", "", "answer")
    # Of many nodes those that need a look; the table itself is in the order of names, so that rows stay in place.
    worst = sorted(found.nodes, key=lambda one: one.state == view.HEALTHY)[:most]
    for node in sorted(worst, key=lambda one: one.name):
        part = node.bytes / node.bytes_max if node.bytes is not None and node.bytes_max else None
        _row(
            table,
            (
                node.name,
                Text(node.state, style=STATE_STYLES.get(node.state, "bold red")),
                f"{node.healthy_at}/{node.balancers}",
                percent(node.share),
                percent(node.load),
                number(node.in_flight),
                f"{size(node.bytes)} / {size(node.bytes_max)}",
                Text(bar(part), style="red" if part and part > 0.9 else "blue"),
                duration(node.answer_s),
            ),
        )
    if more := len(found.nodes) - len(worst):
        _row(table, (f"and {more} more", *[""] * 8))
    return table


def _balancers(found: View) -> Table:
    table = _table("balancer", "state", "requests/s", "in flight", "clients")
    for one in found.balancers:
        state = Text(one.state, style=STATE_STYLES.get(one.state, "bold red"))
        _row(table, (one.name, state, number(one.per_s), number(one.in_flight), number(one.clients)))
    return table


def _queue(found: View) -> Group:
    lines: list[RenderableType] = []
    if (queue := found.queue) is None:
        lines.append(Text(f"queue: {UNLED}", style="bold red"))
    else:
        table = _table("queue", "ready", "leased", "deferred", "oldest", "dead", "workers", "wanted")
        dead = Text(number(queue.dead), style="bold red" if queue.dead else "default")
        counts = (queue.ready, queue.leased, queue.deferred)
        workers = (number(queue.workers), number(queue.desired))
        _row(table, (queue.leader, *map(number, counts), duration(queue.oldest_s), dead, *workers))
        lines.append(table)
        if queue.tiers:
            wanted = ", ".join(f"{count} {tier}" for tier, count in sorted(queue.tiers.items()))
            lines.append(Text(f"the ladder wants: {wanted}"))
    for shard in found.shards:
        state, style = ("answers", "default") if shard.up else (view.SILENT, "bold red")
        room = f" of {size(shard.bytes_max)}" if shard.bytes_max else ""
        used = f", {size(shard.bytes)}{room}" if shard.up else ""
        lines.append(Text(f"Redis {shard.name}: {state}{used}", style=style))
    return Group(*lines)


def _foretold(found: View) -> Iterator[Table]:
    if found.foretold:
        table = _table("predicted", "p10", "p50", "p90", "now")
        for one in found.foretold:
            now = Text(number(one.now), style="yellow" if one.outside else "default")
            _row(table, (one.name.replace("_", " "), number(one.p10), number(one.p50), number(one.p90), now))
        yield table


def _events(found: View, most: int) -> Text:
    text = Text("events", style="dim")
    for event in reversed(found.events[-most:]):
        # Before the moment was known, its time could not be told.
        since_s = event.at - found.moment.fires_at if found.moment else None
        text.append(
            "\n" + line(msgspec.structs.replace(event, since_s=since_s)), style=STYLES.get(event.kind, "default")
        )
    return text


def line(event: Event) -> str:
    """An event as one line, with its time from the moment."""
    return f"{'' if event.since_s is None else clock(event.since_s):>8}  {event.words}"


def percent(part: float | None) -> str:
    """A part of one."""
    return "-" if part is None else f"{part * 100:.0f} %"


def bar(part: float | None) -> str:
    """A bar that is full at one; the smallest part is seen."""
    filled = 0 if not part else max(1, round(min(part, 1.0) * BAR_CELLS))
    return "█" * filled + "░" * (BAR_CELLS - filled)


def sparkline(values: Sequence[float | None]) -> str:
    """A curve of the last values, the largest one as a full block."""
    shown = values[-CURVE_POINTS:]
    top = max((value for value in shown if value is not None and value > 0), default=1.0)
    return "".join(
        " " if value is None else BLOCKS[round(max(value, 0.0) / top * (len(BLOCKS) - 1))] for value in shown
    )
