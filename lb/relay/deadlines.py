"""Which deadline of a client connection has passed. Pure: progress and seconds come in, the deadline or None goes out.

The client connection asks once a second and acts on the answer; the hot path reads no clock.
"""

from enum import Enum, auto

from ..config import Config
from .pace import Pace

# FIN means "I have said all" (`printf … | nc`) or "I have gone" (a closed tab): the client's kernel sends the same. A
# quick answer reaches both. More than a check may charge for a busy loop, so that the first check ends nothing.
HALF_CLOSED_S = 2.0
# An upload is complete, or its node takes no more of it, and there is no answer yet. Nothing ends then: it counts
# against the node, beside what its peers do, because a store that is slow for all is nobody's fault.
STALLED_S = 10.0


class Deadline(Enum):
    """The deadlines, each named after what it bounds."""

    HEAD = auto()  # A head that has begun must end.
    BODY = auto()  # A body must keep the minimum rate.
    ANSWER = auto()  # Once the body is complete or paused, the node or the client must move a byte.
    IDLE = auto()  # A connection between requests must send one.
    STALLED = auto()  # The same, of an upload, and early: a sign that the node gets or says nothing.
    HALF_CLOSED = auto()  # A client that ended its side after a read waits a moment for the answer, then it has gone.
    LINGER = auto()  # The rest of a refused body must end.


class Progress:
    """What one request has moved, as of the last check; made at the first check, so short requests have none."""

    __slots__ = ("_config", "_half_closed_s", "_quiet_s", "_received", "_relayed", "pace")

    def __init__(self, config: Config) -> None:
        self._config = config
        self.pace = Pace(grace_s=config.body_grace_s, stall_s=config.body_stall_s, rate=config.body_rate_bytes_min)
        self._received = self._relayed = 0
        self._quiet_s = self._half_closed_s = 0.0

    def check(
        self,
        seconds: float,
        *,
        received: int,
        relayed: int,
        body_due: bool,
        reading_paused: bool,
        awaits_continue: bool,
        answer_paused: bool,
        half_closed: bool,
    ) -> Deadline | None:
        """The deadline that has passed now, `seconds` after the last check, given the totals of bytes moved.

        `body_due`: the body is not complete. `reading_paused`: some of the time the balancer did not read it.
        `awaits_continue`: the client has not begun it, and waits for 100 Continue.
        `answer_paused`: the client does not read its answer. `half_closed`: the client ended its side after a GET or
        HEAD of which no answer has begun.
        """
        self._half_closed_s += seconds if half_closed else 0.0
        if half_closed and self._half_closed_s > HALF_CLOSED_S:
            return Deadline.HALF_CLOSED
        new, answered = received - self._received, relayed - self._relayed
        self._received, self._relayed = received, relayed
        if body_due:
            # Until the node sends 100 Continue a body that has not begun is not the client's fault.
            theirs = not reading_paused and not awaits_continue
            # The bytes of such a second count too: those of a fast start pay for a later silence.
            if not self.pace.charge(seconds if theirs else 0.0, new):
                return Deadline.BODY
            if theirs:
                self._quiet_s = 0.0
                return None
        before_s, self._quiet_s = self._quiet_s, 0.0 if new or answered else self._quiet_s + seconds
        limit_s = self._config.client_stall_s if answer_paused else self._config.answer_s
        if self._quiet_s > limit_s:
            return Deadline.ANSWER
        stalled = before_s <= STALLED_S < self._quiet_s and received > 0 and not answer_paused
        return Deadline.STALLED if stalled else None


def between_requests(config: Config, idle_s: float, *, head_begun: bool) -> Deadline | None:
    """`idle_s` passed since the last answer, or since the first byte of a head."""
    if head_begun:
        return Deadline.HEAD if idle_s > config.head_s else None
    return Deadline.IDLE if idle_s > config.idle_s else None


def lingering(config: Config, linger_s: float, idle_s: float, *, closing: bool) -> Deadline | None:
    """`linger_s` passed since the body was refused, `idle_s` since its last byte."""
    quiet = idle_s > config.linger_idle_s and not closing
    return Deadline.LINGER if linger_s > config.linger_s or quiet else None
