"""Plan a burst: machines of each tier, ladder, quotas, money, and what binds first.

From a trace, or from the number of users of a region. Costs are those that `make bench` measured. Exit: 0 planned, and
the fleet of --target takes the burst; 1 it does not; 2 could not plan.
"""

import argparse
import math
import random
import sys
from pathlib import Path
from typing import Annotated, Any, Final, get_type_hints

import msgspec
from msgspec import Meta

from .. import outputs
from ..capacity import costs, files, prices, sheet
from ..capacity.aims import DAY_S, Aims
from ..capacity.demand import DemandError, Uploads
from ..capacity.hosts import Host
from ..capacity.plan import Case, Plan, plan
from ..capacity.sensitivity import RAISE, Effect, effects
from ..command import RESULTS
from ..simulation import fleet as fleets
from ..simulation.fleet import Fleet, Machines
from ..traces import trace as traces
from ..traces.lines import BYTES_MAX
from ..traces.synthesis import Shape, first_attempts, synthesize

SAMPLE: Final = 200_000  # uploads that stand for those of all users; each counts so many times as needed
SEED: Final = 1
Share = Annotated[float, Meta(gt=0, le=1)]


class Region(msgspec.Struct, frozen=True, kw_only=True):
    """The burst of a region, where there is no trace: how many users, how many of them post, how the push goes out."""

    users: Annotated[int, Meta(gt=0, description="users of the region, instead of a trace")]
    posting: Annotated[Share, Meta(description="part of them that posts")] = 0.5
    push_s: Annotated[float, Meta(ge=0, le=DAY_S, description="seconds over which the notification reaches them")] = (
        60.0
    )
    photo_kb: Annotated[float, Meta(gt=0, le=BYTES_MAX / 1000, description="median kilobytes of a photo")] = 180.0


def arguments(parser: argparse.ArgumentParser) -> None:
    """The burst, the files, the inputs with their defaults."""
    parser.add_argument("trace", metavar="TRACE", type=Path, nargs="?", help="trace of the burst, or --users")
    parser.add_argument(
        "--costs",
        metavar="FILE",
        type=Path,
        default=RESULTS / "costs.json",
        help="costs that `make bench` measured (default %(default)s)",
    )
    parser.add_argument("--prices", metavar="FILE", type=Path, help="bench/capacity/prices.template.json, filled in")
    parser.add_argument("--target", metavar="FILE", type=Path, help="a fleet, as for simulate: does it take the burst?")
    parser.add_argument("--out", metavar="DIR", type=Path, help=f"where to write {', '.join(files.NAMES)}")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    for struct in (Region, Aims):
        hints = get_type_hints(struct, include_extras=True)
        for field in msgspec.structs.fields(struct):
            text = _description(hints[field.name])
            option = "--" + field.name.replace("_", "-")
            if field.type is bool:
                parser.add_argument(option, action=argparse.BooleanOptionalAction, default=field.default, help=text)
                continue
            default = "" if field.required else f" (default {field.default})"
            parser.add_argument(option, metavar=field.name.rpartition("_")[2].upper(), help=text + default)


def run(args: argparse.Namespace) -> int:
    """Print how many machines and processes the plan's moment needs, and write what was asked for."""
    aims = _given(Aims, args)
    written = {f"{name} in --out": args.out / name for name in files.NAMES} if args.out else {}
    read = {"TRACE": args.trace, "--costs": args.costs, "--prices": args.prices, "--target": args.target}
    outputs.distinct(written, read)
    found = costs.read(args.costs)
    asked = prices.read(args.prices) if args.prices else None
    target = fleets.read(args.target) if args.target else None
    region = _region(args)
    if region is None:
        trace = traces.read(args.trace)
        rows = first_attempts(trace.rows)
        if trace.broken:
            print(f"not planned for: breaks of {trace.broken} uploads, which are whole here", file=sys.stderr)
        case = Case(uploads=Uploads.of(rows), costs=found, aims=aims, prices=asked)
        slower = None
    else:
        case = Case(uploads=uploads(region), costs=found, aims=aims, prices=asked)
        slower = uploads(msgspec.structs.replace(region, push_s=region.push_s * RAISE)) if region.push_s else None
    made = plan(case, None if target is None else hosts(target))
    moved = effects(case, slower)
    inputs = {
        **({"trace": str(args.trace)} if region is None else msgspec.to_builtins(region)),
        **msgspec.to_builtins(aims),
        "costs": {"measured_at": found.measured_at, "machine": found.machine, "code": found.code, "note": found.note},
    }
    document = as_json(made, moved, inputs)
    if args.json:
        print(document.decode())
    else:
        print("\n".join([*_heading(inputs), *sheet.table(made, moved)]))
    if args.out:
        texts = {"plan.json": document, "quotas.md": sheet.quotas(made, inputs).encode()}
        texts["ladder.json"] = msgspec.json.format(msgspec.json.encode({"ladder": made.ladder}), indent=2) + b"\n"
        texts["fleet.json"] = msgspec.json.format(msgspec.json.encode(_fleet(made, aims)), indent=2) + b"\n"
        files.write(args.out, texts)
        if not args.json:
            print(f"\nwritten to {args.out}: {', '.join(texts)}")
    if found.lines_only(aims.store):
        print(f"{args.costs}: {costs.LINES_ONLY}", file=sys.stderr)
    return 0 if made.target is None or made.target.takes_it else 1


def uploads(region: Region) -> Uploads:
    """The burst of a region: a synthetic sample, each upload of which stands for several."""
    posters = max(1, round(region.users * region.posting))
    sample = min(posters, SAMPLE)
    shape = Shape(posters=sample, fanout_s=region.push_s, photo_bytes=max(1, round(region.photo_kb * 1000)))
    least = min(shape.photo_bytes_min, shape.photo_bytes)
    most = max(shape.photo_bytes_max, shape.photo_bytes)
    shape = msgspec.structs.replace(shape, photo_bytes_min=least, photo_bytes_max=most)
    return Uploads.of(synthesize(shape, random.Random(SEED)), posters / sample)


def hosts(fleet: Fleet) -> dict[str, Host]:
    """The machines of a fleet, as the plan knows machines."""
    tiers = ("lb", "node", "worker", "redis", "store")
    return {
        name: Host(
            count=kind.count,
            cores=kind.cores,
            memory_gib=kind.memory_gib,
            nic_gbit=kind.nic_gbit,
            processes={tier: getattr(kind, tier) for tier in tiers},
        )
        for name, kind in fleet.machines.items()
    }


def as_json(made: Plan, moved: tuple[Effect, ...], inputs: dict[str, Any]) -> bytes:
    """The plan as JSON, with its inputs; the machines are in fleet.json."""
    found: dict[str, Any] = msgspec.to_builtins(made)
    del found["hosts"]
    document = {**found, "sensitivities": msgspec.to_builtins(moved), "inputs": inputs}
    return msgspec.json.format(msgspec.json.encode(document), indent=2)


def _fleet(made: Plan, aims: Aims) -> Fleet:
    machines = {
        name: msgspec.structs.replace(
            Machines(count=host.count, cores=host.cores, memory_gib=host.memory_gib, nic_gbit=host.nic_gbit),
            **host.processes,
        )
        for name, host in made.hosts.items()
    }
    return Fleet(machines=machines, store=aims.store, tls=aims.tls)


def _heading(inputs: dict[str, Any]) -> list[str]:
    """The inputs in lines of the terminal's width."""
    measured = inputs["costs"]
    words = [f"{name}={value}" for name, value in inputs.items() if name != "costs"]
    lines, line = [], "inputs:"
    for word in words:
        if len(line) + len(word) >= 118:
            lines.append(line)
            line = "       "
        line += f" {word}"
    note = f" ({measured['note']})" if measured["note"] else ""
    return [*lines, line, f"costs:  measured {measured['measured_at']}, code {measured['code'][:16]}{note}", ""]


def _region(args: argparse.Namespace) -> Region | None:
    """The region of the options; DemandError when there is neither a region nor a trace, or both."""
    if (args.users is None) == (args.trace is None):
        raise DemandError("give a TRACE, or --users N")
    if args.users is None:
        names = [name for name in ("posting", "push_s", "photo_kb") if getattr(args, name) is not None]
        if names:
            raise DemandError(f"--{names[0].replace('_', '-')} goes with --users: a trace has its own")
        return None
    region: Region = _given(Region, args)
    return region


def _given(struct: type[Any], args: argparse.Namespace) -> Any:  # noqa: ANN401 - the struct that is named
    """The struct of the options; DemandError names the option that is out of range."""
    words = {field.name: getattr(args, field.name) for field in msgspec.structs.fields(struct)}
    kinds, values = get_type_hints(struct), dict[str, Any]()
    for name, word in words.items():
        if word is None:
            continue
        option = f"--{name.replace('_', '-')} {word}"
        values[name] = _number(word, option) if kinds[name] is float else word
        try:
            msgspec.convert({"users": 1, name: values[name]}, struct, strict=False)
        except msgspec.ValidationError as error:
            raise DemandError(f"{option}: {str(error).partition(' - at')[0]}") from error
    return msgspec.convert(values, struct, strict=False)


def _number(word: str | float, option: str) -> float:
    """A number as people write it, `.5` too; DemandError when it is none."""
    try:
        value = float(word)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise DemandError(f"{option}: a finite number")
    return value


def _description(hint: Any) -> str:  # noqa: ANN401 - an annotation
    """The last description of an annotation, which is the field's own."""
    return next(meta.description for meta in reversed(hint.__metadata__) if isinstance(meta, Meta) and meta.description)
