"""Our balancer beside HAProxy and nginx, as ratios of one run."""

import argparse

from .. import command
from ..contests import balancers


def arguments(parser: argparse.ArgumentParser) -> None:
    """Those of every bench."""
    command.options(parser, "lb.json")


def run(args: argparse.Namespace) -> int:
    """Measure our balancer beside HAProxy and nginx and write the results; returns the exit code."""
    return balancers.run(args.out, quick=args.quick)
