"""The view as a terminal shows it."""

import io
import re

import msgspec
import pytest
from rich.console import Console

from deploy.watching import view
from deploy.watching.terminal import bar, clock, drawn, duration, fitted, line, number, size, sparkline
from deploy.watching.view import Event, Flow, Foretold, Moment, Node, Queue, Shard, Store, Times, View

FULL = View(
    at=2_012.0,
    moment=Moment(
        id="eu-1", region="eu", fires_at=2_000.0, closes_at=2_120.0, since_s=12.0, posts={"accepted": 1234, "late": 5}
    ),
    flow=Flow(offered=312.4, accepted=290.0, shed=12.0, late=0.0),
    uploads=Times(p50_s=0.21, p99_s=1.9, count=600, over_s=10),
    nodes=(
        Node(
            name="a",
            state=view.HEALTHY,
            healthy_at=2,
            balancers=2,
            share=0.334,
            load=0.5,
            in_flight=17,
            bytes=2**20,
            bytes_max=2**30,
        ),
        Node(name="b[red]", state=view.UNHEALTHY, healthy_at=0, balancers=2),
    ),
    balancers=(view.Balancer(name="lb-1", state=view.PANIC, per_s=9.5, in_flight=3, clients=40),),
    queue=Queue(
        leader="autoscaler",
        ready=120,
        leased=4,
        deferred=0,
        oldest_s=3.2,
        workers=2,
        desired=4,
        dead=1,
        tiers={"node": 6},
    ),
    store=Store(times=Times(p50_s=0.012, p99_s=0.2), refused={"quorum-lost": 2.0}),
    shards=(Shard(name="127.0.0.1:6379", up=False, bytes=2048.0, bytes_max=0.0),),
    read=7,
    problems=("node b: not healthy",),
    events=(Event(at=2_010.0, since_s=10.0, kind="bad", words="node b ejected"),),
    foretold=(Foretold(name="upload_p99_ms", p10=800, p50=900, p90=1000, now=1900),),
)


def shown(found: View, width: int = 120) -> str:
    """The text on a terminal of this width."""
    out = io.StringIO()
    Console(file=out, width=width, force_terminal=False).print(drawn(found))
    return out.getvalue()


def on_screen(found: View, height: int, width: int = 100) -> str:
    """What a terminal of this size shows of the live view."""
    out = io.StringIO()
    console = Console(file=out, width=width, height=height, force_terminal=False)
    console.print(fitted(found, console))
    return "\n".join(out.getvalue().splitlines()[:height])


def test_a_low_terminal_shows_the_worst_nodes_and_the_last_events() -> None:
    """Of a hundred nodes those that are not well; on 24 lines the events come first."""
    well = FULL.nodes[0]
    many = tuple(msgspec.structs.replace(well, name=f"n{number:02}") for number in range(99))
    found = msgspec.structs.replace(FULL, nodes=(*many, FULL.nodes[1]), problems=("bad",) * 50)
    high, low = on_screen(found, 50), on_screen(found, 24, width=60)

    for text in (high, low):
        assert "+10 s  node b ejected" in text
        assert "and 4" in text  # of the problems
    assert "b[red]" in high
    assert "and 90 more" in high
    assert "queue" in high
    assert "100 more" not in on_screen(found, 250)
    assert "n98" in on_screen(found, 250)


@pytest.mark.parametrize(
    "words",
    [
        "moment eu-1 fired 12 s ago, closes in 108 s",
        "1,234 accepted, 5 late",
        "! node b: not healthy",
        "offered 312",
        "upload time 210 ms 1.9 s",
        "store commit 12 ms 200 ms",
        "store refusals: quorum-lost 2 a second",
        "1.0 MiB / 1.0 GiB",
        "b[red]",
        "panic mode",
        "the ladder wants: 6 node",
        "Redis 127.0.0.1:6379: no answer",
        "upload p99 ms",
        "+10 s node b ejected",
    ],
)
def test_everything_is_there(words: str) -> None:
    """A name that looks like markup is no markup."""
    assert words in re.sub(" +", " ", shown(FULL))


def near(name: str, since_s: float, posts: dict[str, int] | None = None) -> Moment:
    """A moment that fires after or fired before now."""
    fires_at = FULL.at - since_s
    return Moment(id=name, region="eu", fires_at=fires_at, closes_at=fires_at + 120, since_s=since_s, posts=posts or {})


def test_of_other_moments_each_has_a_line_with_its_seconds() -> None:
    """And of those that have none, the time of the next one."""
    assert FULL.moment is not None
    others = (near("us-1", 3, {"accepted": 9}), near("us-2", 4), near("ap-1", -5), near("af-1", -40), near("au-1", -50))
    for count, words in ((3, None), (5, "and 2 more, the next one fires in 40 s")):
        moment = msgspec.structs.replace(FULL.moment, others=count)
        text = shown(msgspec.structs.replace(FULL, moment=moment, others=others[:count]))
        assert "moment us-1 fired 3 s ago, closes in 117 s; 9 accepted" in text
        assert "moment ap-1 fires in 5 s" in text
        assert (words or "more, ") in text or words is None


def test_an_empty_view_can_be_drawn() -> None:
    """Before anything is known."""
    assert "no moment is known" in shown(View(at=0.0, queue=FULL.queue))
    assert "all well: 7 programs answer" in shown(msgspec.structs.replace(FULL, problems=()))


def test_without_an_autoscaler_that_answers_no_moment_is_not_said_to_be_none() -> None:
    """It is not known; one that was known before stays."""
    assert "no moment is known" not in shown(View(at=0.0))
    assert "the leading autoscaler does not answer: moments and queue are unknown" in shown(View(at=0.0))
    assert "moment eu-1 fired" in shown(msgspec.structs.replace(FULL, queue=None))


def test_a_terminal_of_80_columns_shows_all_of_it() -> None:
    """Nothing is cut with an ellipsis."""
    assert "…" not in shown(FULL, 80)


@pytest.mark.parametrize("width", [40, 80, 200])
def test_no_line_is_longer_than_the_terminal(width: int) -> None:
    """Nor is anything broken into a second line that would tear a table apart."""
    assert max(map(len, shown(FULL, width).splitlines())) <= width


def test_numbers_for_people() -> None:
    """As many digits as matter; - for what is not known."""
    assert [number(value) for value in (None, 0.0, 0.125, 1.5, 12.34, 123.4, 12345.0)] == [
        "-",
        "0",
        "0.12",
        "1.5",
        "12.3",
        "123",
        "12,345",
    ]
    assert [duration(value) for value in (None, 0.0, 0.0214, 0.999, 1.0, 12.34)] == [
        "-",
        "0 ms",
        "21 ms",
        "999 ms",
        "1.0 s",
        "12.3 s",
    ]
    assert [size(value) for value in (None, 0.0, 1023.0, 1024.0, 150 * 2.0**20, 2.0**50)] == [
        "-",
        "0 B",
        "1023 B",
        "1.0 KiB",
        "150 MiB",
        "1048576 GiB",
    ]
    assert [clock(value) for value in (-61.0, 0.0, 599.0, 600.0)] == ["-61 s", "+0 s", "+599 s", "+10 min"]
    assert line(Event(at=1.0, words="x")).strip() == "x"


def test_bars_and_curves() -> None:
    """The smallest part is seen, and no bar is longer than full; a curve has a gap where nothing is known."""
    assert [bar(part).count("█") for part in (None, 0.0, 0.001, 0.5, 1.0, 7.0)] == [0, 0, 1, 5, 10, 10]
    assert sparkline([0.0, None, 4.0, 8.0]) == "  ▄█"
    assert sparkline([]) == ""
    assert sparkline([None, 0.0]) == "  "
