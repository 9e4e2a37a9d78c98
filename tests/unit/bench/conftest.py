"""Unit tests play the simulation's kernels as Python, which needs no compiler; a long test compares machine code."""

import numba

numba.config.DISABLE_JIT = True
