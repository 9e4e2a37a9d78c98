"""Make a synthetic burst.

The same options and the same seed make the same file, byte for byte. A push is even over --fanout-s, or as a push
service's quota lets it: --devices 5000000 --posting 0.4 --pushes-per-minute 600000. With --network the uplinks are
those of a model of a network, and connections break where the model lets them.
"""

import argparse
import random
import shlex
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from ..traces import columns, networks, push, synthesis
from ..traces.lines import Header
from ..traces.synthesis import Shape, ShapeError

OPTIONS: Final = (  # field of Shape, kind, meaning
    ("posters", int, "users who post, once each"),
    ("median_s", float, "median of the log-normal reaction to the notification"),
    ("sigma", float, "sigma of that reaction"),
    ("capture_s", float, "seconds to take both photos, give or take a half"),
    ("fanout_s", float, "seconds over which the notification reaches the phones"),
    ("photo_bytes", int, "median size of one photo, log-normal"),
    ("photo_sigma", float, "sigma of that size"),
    ("photo_bytes_min", int, "least size"),
    ("photo_bytes_max", int, "greatest size"),
)


def arguments(parser: argparse.ArgumentParser) -> None:
    """The shape of the burst, its seed, the file."""
    defaults = {field.name: field.default for field in msgspec.structs.fields(Shape)}
    for name, kind, meaning in OPTIONS:
        shown = "" if name == "posters" else f" (default {defaults[name]})"
        parser.add_argument("--" + name.replace("_", "-"), type=kind, help=meaning + shown)
    parser.add_argument("--devices", type=int, help="phones that are notified")
    parser.add_argument("--posting", type=float, help="share of the devices whose users post, instead of --posters")
    parser.add_argument(
        "--pushes-per-minute",
        metavar="RATE",
        help="quota of the push service, instead of --fanout-s: 600000, or steps FROM_S:RATE,… as 0:600000,120:300000",
    )
    parser.add_argument(
        "--uplinks", help="classes BYTES_PER_S:SHARE,… (default 0.5 to 20 Mbit/s, or those of --network)"
    )
    parser.add_argument(
        "--network",
        choices=sorted(networks.NETWORKS),
        help="a model of round trips, loss, breaks and pauses; sources in bench/traces/networks.py",
    )
    parser.add_argument("--span-s", type=float, help="last time after the moment at which anyone posts")
    parser.add_argument("--window-s", type=int, default=120, help="seconds until posts are late (default %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="same seed, same bytes (default %(default)s)")
    parser.add_argument("--note", help="how the trace was made (default: this command)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("out", metavar="OUT", type=Path, help="file to write, usually NAME.jsonl.gz")


def run(args: argparse.Namespace) -> int:
    """Generate a trace from the options and the seed and write it."""
    asked = shape(args)
    header = Header(kind="synthetic", window_s=args.window_s, seed=args.seed, note=args.note or command(args))
    found = synthesis.columns(asked, random.Random(args.seed))
    if args.network:
        found = networks.through(found, networks.NETWORKS[args.network], np.random.default_rng(args.seed))
    columns.write(args.out, header, found)
    span_s, push_s = float(found.t[-1]) / 1e6, asked.plan.length_s
    if args.json:
        said = {"trace": str(args.out), "users": found.count, "span_s": span_s, "push_s": push_s, "note": header.note}
        if args.network:
            said |= {"network": args.network, "breaks": broken(found), "source": "model"}
        print(msgspec.json.encode(said).decode())
        return 0
    print(f"{args.out}: {found.count} arrivals in {span_s:.1f} s, window {header.window_s} s")
    if args.network:
        print(f"network {args.network}, a model: {broken(found)} uploads break")
    if asked.pushes_per_minute:
        print(f"the push reaches {asked.devices} devices in {push_s:.0f} s")
    return 0


def broken(found: columns.Columns) -> int:
    """Uploads that have a break."""
    return int((found.d != columns.NO_BREAK).any(axis=1).sum())


def shape(args: argparse.Namespace) -> Shape:
    """The shape of the burst that the options describe; ValidationError when a parameter is out of range."""
    asked = {name: getattr(args, name) for name in (*(name for name, _, _ in OPTIONS), "span_s", "devices")}
    asked = {name: value for name, value in asked.items() if value is not None}
    if args.pushes_per_minute is not None:
        if args.fanout_s is not None:
            raise ShapeError("--fanout-s and --pushes-per-minute: say one")
        asked["pushes_per_minute"] = msgspec.to_builtins(push.steps_of(args.pushes_per_minute))
    if args.uplinks is not None:
        asked["uplinks"] = msgspec.to_builtins(synthesis.uplinks_of(args.uplinks))
    elif args.network:
        asked["uplinks"] = msgspec.to_builtins(networks.NETWORKS[args.network].uplinks)
    if args.posting is not None:
        if args.posters is not None or args.devices is None or not 0 < args.posting <= 1:
            raise ShapeError("--posting: a share above 0 and at most 1, with --devices and without --posters")
        asked["posters"] = round(msgspec.convert(args.devices, synthesis.Devices) * args.posting)
    if "posters" not in asked:
        raise ShapeError("say --posters, or --devices and --posting")
    return msgspec.convert(asked, Shape)


def command(args: argparse.Namespace) -> str:
    """The command that makes this trace, with every option and without the folder of the output file."""
    *words, out = synthesis.command(shape(args), args.window_s, args.seed, args.out.name)
    return shlex.join([*words, *(("--network", args.network) if args.network else ()), out])
