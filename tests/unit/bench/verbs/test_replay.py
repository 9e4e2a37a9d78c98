"""The command line of a replay."""

from pathlib import Path

import pytest

from bench.__main__ import parser
from bench.config import Config
from bench.errors import BenchError
from bench.replay.rules import BadRule
from bench.traces import trace as traces
from bench.traces.trace import Header, Row, Trace, TraceError
from bench.verbs.replay import configured, prepared


@pytest.fixture
def trace(tmp_path: Path) -> str:
    """A trace with one arrival."""
    path = tmp_path / "t.gz"
    traces.write(path, Trace(Header(kind="synthetic", window_s=60), (Row(t=0, u="u", f=5, b=6, up=7),)))
    return str(path)


def test_options_go_before_settings() -> None:
    """Given options replace values; the others stay."""
    args = parser().parse_args(["replay", "t", "--target", "u", "--attempts", "2", "--ready-timeout", "7"])
    found = configured(args, Config(region="eu"))

    assert (found.attempts_max, found.ready_timeout_s, found.region) == (2, 7.0, "eu")


def test_what_generators_are_told_holds_no_secret(trace: str) -> None:
    """The plan goes to other machines; the report names the trace by its digest."""
    words = ["replay", trace, "--target", "http://a/", "--cleanup", "--stop-when", "shed>5%", "--scale", "2"]
    config, job, plan, origin = prepared(parser().parse_args(words), Config(auth_secret="s3cret"))

    assert (config.auth_secret, plan.config.auth_secret, plan.targets) == ("s3cret", "-", ("http://a",))
    assert (job.cleanup, [rule.text for rule in job.rules]) == (True, ["shed>5%"])
    assert [row.u.startswith("rehearsal-") for row in job.rows] == [True, True]
    assert (len(origin.trace_sha256), origin.scale, plan.photo_bytes_max) == (64, 2.0, 6)


@pytest.mark.parametrize(
    ("breaks", "words", "resume"),
    [
        (False, [], False),
        (True, [], True),
        (False, ["--resume"], True),
        (True, ["--no-resume"], False),
    ],
)
def test_a_trace_with_breaks_is_resumed_unless_said(
    tmp_path: Path, words: list[str], *, breaks: bool, resume: bool
) -> None:
    """The report says where its breaks come from, and what was done; of a trace without any it says nothing new."""
    path = tmp_path / "b.gz"
    row = Row(t=0, u="u", f=5, b=6, up=7, d=(3,), p=(5000,)) if breaks else Row(t=0, u="u", f=5, b=6, up=7)
    traces.write(path, Trace(Header(kind="synthetic", window_s=60), (row,)))
    _, _, plan, origin = prepared(parser().parse_args(["replay", str(path), "--target", "u", *words]), Config())

    assert plan.resume is resume
    assert origin.breaks_by == ("model" if breaks else None)
    assert origin.settings.get("replay.resume") == (str(resume) if breaks else None)


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ([], BenchError),
        (["--target", "u", "--coordinate", "127.0.0.1:1"], BenchError),
        (["--target", "u", "--machines", "2"], BenchError),
        (["--target", "u", "--stop-when", "shed>101%"], BadRule),
        (["--target", "u", "--scale", "0.0001"], TraceError),
    ],
)
def test_what_cannot_be_done_is_refused(trace: str, words: list[str], kind: type[Exception]) -> None:
    """Before anything is started."""
    with pytest.raises(kind):
        prepared(parser().parse_args(["replay", trace, *words]), Config())


@pytest.mark.parametrize(
    ("option", "bad", "good"),
    [
        ("--scale", ("inf", "nan", "0", "-1", "20000001"), "2"),
        ("--after", ("inf", "nan", "-1"), "0"),
    ],
)
def test_a_number_out_of_range_is_refused_by_its_option(
    trace: str, option: str, bad: tuple[str, ...], good: str
) -> None:
    """A trace has at most 20 M rows, and so has a replay."""
    words = ["replay", trace, "--target", "u", option]
    for value in bad:
        with pytest.raises(BenchError, match=f"^{option} {value}: "):
            prepared(parser().parse_args([*words, value]), Config())
    prepared(parser().parse_args([*words, good]), Config())
