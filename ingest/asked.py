"""Whether the balancers have forgotten this node: heartbeats the other way round.

A balancer checks its nodes every second or two. A node that was asked before and is asked no more is missing from their
list, or cannot be reached any more: first it registers anew, then it restarts itself. One that was never asked lives
alone, or behind something that does not ask, and is left in peace. Time in which the process itself stood still (a
stopped or starved process) is not held against the balancers. Pure: seconds come in.
"""

from typing import Literal

Verdict = Literal["fine", "register", "restart"]

STEP_S_MAX = 2.0  # More between two looks was our own standstill.


class Asked:
    """How long nobody has asked; 0 seconds for either limit switches it off."""

    def __init__(self, *, register_s: float, restart_s: float) -> None:
        self._register_s = register_s
        self._restart_s = restart_s
        self._ever = False
        self._registered = False
        self.quiet_s = 0.0

    def by_balancer(self) -> None:
        """A balancer asked."""
        self._ever = True
        self._registered = False
        self.quiet_s = 0.0

    def went_by(self, seconds: float) -> Verdict:
        """What to do now that so much time went by; `register` is said once in a silence."""
        if not self._ever:
            return "fine"
        self.quiet_s += min(seconds, STEP_S_MAX)
        if self._restart_s and self.quiet_s >= self._restart_s:
            return "restart"
        if self._register_s and self.quiet_s >= self._register_s and not self._registered:
            self._registered = True
            return "register"
        return "fine"
