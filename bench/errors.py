"""The base of all errors of bench that are for a person to read: the command could not run.

`python -m bench …` prints the text as one line on standard error and exits with 2; a subclass says which kind it is.
"""


class BenchError(Exception):
    """The text says what cannot be done, why, and where possible what to do."""
