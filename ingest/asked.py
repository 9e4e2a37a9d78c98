"""Whether balancers have lost this node: it watches for their health checks.

A balancer checks its nodes every second or two. If the checks stop, the node is missing from the balancers' lists or
unreachable: it first registers anew, then restarts itself. A node that was never checked runs alone or behind a proxy
without health checks, and does neither. Time during which the process itself was suspended or starved does not count.
Pure: seconds come in.
"""

from typing import Literal

Verdict = Literal["fine", "register", "restart"]

STEP_S_MAX = 2.0  # A longer step means that the process itself was suspended.


class Asked:
    """Seconds since the last health check of any balancer; a limit of 0 seconds disables its action."""

    def __init__(self, *, register_s: float, restart_s: float) -> None:
        self._register_s = register_s
        self._restart_s = restart_s
        self._ever = False
        self._registered = False
        self.quiet_s = 0.0

    def by_balancer(self) -> None:
        """Record a health check by a balancer."""
        self._ever = True
        self._registered = False
        self.quiet_s = 0.0

    def went_by(self, seconds: float) -> Verdict:
        """Add the elapsed seconds and return the action; `register` is returned once in each silence."""
        if not self._ever:
            return "fine"
        self.quiet_s += min(seconds, STEP_S_MAX)
        if self._restart_s and self.quiet_s >= self._restart_s:
            return "restart"
        if self._register_s and self.quiet_s >= self._register_s and not self._registered:
            self._registered = True
            return "register"
        return "fine"
