"""The project's own pure rules, compiled by numba from their own source, so that a simulation cannot drift from them.

A class becomes functions over a numpy record with the same fields. Only values are records here; `Admission` keeps
objects and is written again in `admitting.py`, which a test compares with the module, called one by one.
"""

import ast
import inspect
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar, cast

import numba
import numpy as np

from ingest.commits import Commits
from ingest.places import Place, Usual
from ingest.places import slow_s as _slow_s
from ingest.returns import Returns
from ingest.returns import when_away_s as _when_away_s
from lb.placement.policy import cap as _cap

from .code import code_hash

F = TypeVar("F", bound=Callable[..., object])
# What machine code is kept depends on: a kept kernel contains the rules as they were. In the user's own folder, because
# the files are executed.
_KERNELS: Final = (
    *(f"bench/simulation/{name}.py" for name in ("rules", "world", "admitting", "placing", "phones", "link")),
    *(
        "bench/simulation/uploads.py",
        "bench/simulation/rendering.py",
        "bench/simulation/ticks.py",
        "lb/placement/slots.py",
    ),
    *("lb/placement/policy.py", "lb/placement/refusals.py", "ingest/admission.py", "bench/simulation/code.py"),
    *(f"ingest/{name}.py" for name in ("commits", "places", "returns")),
)
# numba types neither its configuration nor these options.
_config, _njit = cast("Any", numba).config, cast("Any", numba.njit)
_config.CACHE_DIR = str(Path.home() / ".cache" / "snapsurge" / f"simulation-{code_hash(_KERNELS)[:16]}")


# Without the wrappers that Python would call it through, which take most of the time to compile.
_INNER: Final = {"no_cfunc_wrapper": True, "no_cpython_wrapper": True}


def compiled(function: F) -> F:
    """The function as machine code, for other compiled functions."""
    return cast(F, _njit(error_model="numpy", **_INNER)(function))


def kept(function: F) -> F:
    """The function as machine code, for Python, kept between runs."""
    return cast(F, _njit(cache=True, error_model="numpy", no_cfunc_wrapper=True)(function))


# A whole number of 64 bits, whatever it was: else numba compiles a function for each width.
wide: Final = cast("Callable[[object], int]", np.int64)


class _Unbound(ast.NodeTransformer):
    """Turns the methods of a class into functions: calls of its methods, and uses of its properties."""

    def __init__(self, prefix: str, methods: set[str], properties: set[str]) -> None:
        self._prefix, self._methods, self._properties = prefix, methods, properties

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        called = node.func
        if isinstance(called, ast.Attribute) and _is_self(called.value) and called.attr in self._methods:
            name = ast.Name(self._prefix + called.attr, ast.Load())
            return ast.copy_location(ast.Call(name, [called.value, *node.args], node.keywords), node)
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        self.generic_visit(node)
        if _is_self(node.value) and node.attr in self._properties:
            name = ast.Name(self._prefix + node.attr, ast.Load())
            return ast.copy_location(ast.Call(name, [node.value], []), node)
        return node


def _is_self(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "self"


def methods_of(kind: type) -> dict[str, Callable[..., Any]]:
    """The compiled methods and properties of a pure class, by name; the first argument is a record in place of self."""
    module = sys.modules[kind.__module__]
    found = [
        node for node in ast.parse(textwrap.dedent(inspect.getsource(kind))).body if isinstance(node, ast.ClassDef)
    ]
    own = [node for node in found[0].body if isinstance(node, ast.FunctionDef) and not node.name.startswith("__")]
    properties = {node.name for node in own if any(ast.unparse(one) == "property" for one in node.decorator_list)}
    prefix = f"{kind.__name__}_"
    # `self.ended(now)` reads `ended(self, now)`, a property reads as a call. Nothing else of the source is changed.
    changed = _Unbound(prefix, {node.name for node in own}, properties)
    # The numbers in the rules are those of the module's globals.
    names = dict(vars(module))
    for name, value in vars(module).items():
        if inspect.isfunction(value) and value.__module__ == module.__name__:
            names[name] = _njit(error_model="numpy", **_INNER)(value)
    for node in own:
        node.name, node.decorator_list, node.returns = prefix + node.name, [], None
        # numba binds no keyword-only arguments.
        node.args.args += node.args.kwonlyargs
        node.args.defaults += [value for value in node.args.kw_defaults if value is not None]
        node.args.kwonlyargs, node.args.kw_defaults = [], []
        for argument in node.args.args:
            argument.annotation = None
        node.body = [cast(ast.stmt, changed.visit(line)) for line in node.body]
        text = ast.fix_missing_locations(ast.Module([node], []))
        exec(compile(text, module.__file__ or "", "exec"), names)  # noqa: S102 - our own source, as it is imported
        names[node.name] = _njit(error_model="numpy", **_INNER)(names[node.name])
    return {node.name.removeprefix(prefix): names[node.name] for node in own}


COMMITS: Final = np.dtype(
    [
        *((name, "f8") for name in ("puts_max", "rate", "growth", "_receive_s", "_unloaded_s", "_ended_at")),
        *((name, "f8") for name in ("_window_at", "_probed_at", "_halved_at", "_before_stall", "_before_probe")),
        *(("under_way", "i8"), ("_samples", "i8"), ("_committed", "i8"), ("_sum_s", "f8")),
        *((name, "?") for name in ("_full", "_refused", "_bound_met", "_queued")),
    ]
)
RETURNS: Final = np.dtype([("_end", "f8")])
USUAL: Final = np.dtype([("value", "f8")])
_commits, _returns = methods_of(Commits), methods_of(Returns)
_usual, _place = methods_of(Usual), methods_of(Place)

commits_began, commits_ended, commits_free = _commits["began"], _commits["ended"], _commits["free"]
commits_in_flight_max, commits_stalled = _commits["in_flight_max"], _commits["stalled"]
commits_refused, commits_received, commits_left = _commits["refused"], _commits["received"], _commits["left"]
retry_after_s: Final = _returns["retry_after_s"]
usual_told: Final = _usual["told"]
place_charge, place_left_s, place_is_slow = _place["charge"], _place["left_s"], _place["is_slow"]


class Bound(NamedTuple):
    """`policy.Bound`, in a form that compiled code can take."""

    factor: int
    floor: int


cap: Final = cast("Callable[..., int]", compiled(_cap))
slow_s: Final = compiled(_slow_s)
when_away_s: Final = compiled(_when_away_s)
