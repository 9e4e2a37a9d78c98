"""What a client connection owes in time while a request is under way: its body at a rate, or the node an answer.

Looked at once a second for each connection, so that the hot path reads no clock: what came and went since the last look
is all it takes. A second in which we stopped reading is not the client's fault. `pace.py` has the rule for a body.
"""

from typing import TYPE_CHECKING

from .pace import Pace
from .waking import Waking

if TYPE_CHECKING:
    from .exchange import Exchange
    from .proxy import Proxy


class Timed(Waking):
    """The part of a client connection that watches its exchange; values in the class are those it begins with."""

    _proxy: "Proxy"
    _pace: Pace | None = None
    _held = _excused = _taking_paused = False
    # Progress as last seen, in bytes received and bytes relayed, and seconds without any.
    _seen_in = _seen_out = 0
    _quiet_s = 0.0

    def _check_exchange(self, exchange: "Exchange", seconds: float, *, body: bool) -> None:
        """`seconds` went by while a request was under way; `body` says that its body is still to come."""
        config = self._proxy.config
        came = exchange.received + self._unread()
        received, relayed = came - self._seen_in, exchange.relayed - self._seen_out
        self._seen_in, self._seen_out = came, exchange.relayed
        # A second in which we stopped reading, or in which the node owes its 100 Continue, is not the client's.
        excused, self._excused = self._excused or (exchange.awaits_continue and not received), self._held
        if body and not excused:
            pace = self._pace = self._pace or Pace(
                grace_s=config.body_grace_s, stall_s=config.body_stall_s, rate=config.body_rate_bytes_min
            )
            self._quiet_s = 0.0
            if not pace.went_by(seconds, received):
                exchange.fail("too-slow", f"The body came at less than {config.body_rate_bytes_min} bytes a second.")
            return
        self._quiet_s = 0.0 if received or relayed else self._quiet_s + seconds
        if self._quiet_s > (config.client_stall_s if self._taking_paused else config.answer_s):
            self._proxy.fleet_doubt(exchange)
            exchange.fail("gateway-timeout")
