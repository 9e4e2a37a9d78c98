"""The bench of a stack that is offered more than its capacity: `python -m bench.overload`."""
