"""A stack under more than it can take: `python -m bench.overload`."""
