"""lb.relay.resend: what may be sent again."""

import pytest

from lb.relay.resend import resendable, stored


@pytest.mark.parametrize(
    ("method", "reused", "body_sent", "acted", "allowed"),
    [
        (b"GET", True, False, True, True),
        (b"PUT", True, False, True, True),
        (b"POST", True, False, True, False),
        (b"POST", True, False, False, True),
        (b"POST", True, True, False, False),
        (b"PUT", True, True, True, False),
        (b"GET", False, False, True, False),
    ],
)
def test_only_what_a_node_cannot_have_done_is_sent_again(
    method: bytes, *, reused: bool, body_sent: bool, acted: bool, allowed: bool
) -> None:
    """A new connection, a body byte, or a POST that was complete or got an interim answer forbid it."""
    assert resendable(method, reused=reused, body_sent=body_sent, acted=acted) is allowed


@pytest.mark.parametrize(
    ("method", "sent", "whole", "told"),
    [
        (b"POST", True, True, "unknown"),
        (b"POST", True, False, False),
        (b"POST", False, True, False),
        (b"GET", True, True, False),
    ],
)
def test_nothing_is_promised_of_what_a_node_may_have_whole(
    method: bytes, *, sent: bool, whole: bool, told: object
) -> None:
    """False is said only when it is known: not sent, not whole, or nothing that stores."""
    assert stored(method, sent=sent, whole=whole) == told
