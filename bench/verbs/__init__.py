"""The commands of `python -m bench`, one module each, in the order of an evening before a moment.

A verb's module is named after its command (`bench simulate` is `simulate.py`). Its docstring's first line is the help,
the whole docstring the description; it has `arguments(parser)`, which adds its options, and `run(args)`, which does the
work and returns the exit code: 0 good, 1 bad, 2 could not run, 3 void. What cannot be run is a `BenchError`.
"""

from types import ModuleType
from typing import Final

from . import compare, describe, lb, plan, record, rehearse, replay, simulate, synth, transform

VERBS: Final[tuple[ModuleType, ...]] = (
    *(synth, record, describe, transform, plan, simulate),
    *(replay, compare, rehearse, lb),
)
