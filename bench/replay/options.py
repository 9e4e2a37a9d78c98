"""The options of `bench replay`: the trace and where it goes, who sends, what makes a replay fit for production."""

import argparse
from pathlib import Path
from typing import Final

Address = tuple[str, int]
Machine = tuple[str, int]
COUNT_MAX: Final = 1000
STACK_FILE: Final = Path(".snapsurge/stack.json")


def arguments(parser: argparse.ArgumentParser) -> None:
    """The trace, where it goes, how it is paced, what is written."""
    parser.add_argument("trace", metavar="TRACE", type=Path, nargs="?", help="trace file")
    parser.add_argument("--target", metavar="URL", action="append", help="balancer; may be given again, used in turn")
    parser.add_argument(
        "--report", metavar="FILE", type=Path, help="write the report as JSON, and its course as SVG beside it"
    )
    parser.add_argument("--html", metavar="FILE", type=Path, help="write the report as one page to look at")
    parser.add_argument(
        "--prediction", metavar="FILE", type=Path, help="score this sealed prediction (`simulate --seal`) by the run"
    )
    parser.add_argument("--region", help="region of the moment")
    parser.add_argument("--scale", type=float, default=1.0, help="multiply the arrivals by N, as jittered copies")
    parser.add_argument("--uplink", choices=("trace", "none"), default="trace", help="pace of the uploads")
    parser.add_argument(
        "--connections",
        choices=("fresh", "reuse"),
        default="fresh",
        help="one per upload as phones have it, or kept alive between uploads as a gateway would (default fresh)",
    )
    parser.add_argument(
        "--resume",
        action=argparse.BooleanOptionalAction,
        help="go on with an upload after a break (default: when the trace has breaks, because asking costs the node)",
    )
    parser.add_argument("--attempts", type=int, help="maximum number of tries of one upload")
    parser.add_argument("--ready-timeout", metavar="S", type=float, help="seconds to wait until all posts are ready")
    parser.add_argument(
        "--after", metavar="S", type=float, default=0.0, help="seconds to go on watching after the last post is ready"
    )
    parser.add_argument("--check-sample", metavar="N", type=int, help="decode all renditions of every Nth post")
    parser.add_argument(
        "--stack", metavar="FILE", type=Path, help=f"stack file, for CPU per tier (default {STACK_FILE} if it fits)"
    )
    _spread_arguments(parser)
    _rehearsal_arguments(parser)


def _spread_arguments(parser: argparse.ArgumentParser) -> None:
    """Who sends."""
    parser.add_argument(
        "--generators", metavar="N", type=_count, help="send from N processes of this machine (default 1: this one)"
    )
    parser.add_argument(
        "--coordinate", metavar="HOST:PORT", type=_address, help="listen here for generators of other machines"
    )
    parser.add_argument("--machines", metavar="K", type=_count, help="start when K machines have joined")
    parser.add_argument(
        "--join",
        metavar="HOST:PORT",
        type=_address,
        help="send for the coordinator at this address; no other option is needed",
    )
    parser.add_argument("--machine", type=_machine, help=argparse.SUPPRESS)  # of a process that another one started


def _rehearsal_arguments(parser: argparse.ArgumentParser) -> None:
    """What makes a replay fit for production."""
    parser.add_argument("--cleanup", action="store_true", help="delete every post that the replay made, at its end")
    parser.add_argument(
        "--stop-when",
        metavar="RULE",
        action="append",
        default=[],
        help="end the run, as failed, when shed>P%%, failed>P%%, p99>T or queue_oldest>T in 10 s; may be given again",
    )


def _count(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) <= COUNT_MAX:
        raise argparse.ArgumentTypeError(f"{text}: a number from 1 to {COUNT_MAX}")
    return int(text)


def _address(text: str) -> Address:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise argparse.ArgumentTypeError(f"{text}: an address is HOST:PORT")
    return host.strip("[]"), int(port)


def _machine(text: str) -> Machine:
    name, _, generators = text.rpartition(":")
    return name, _count(generators)
