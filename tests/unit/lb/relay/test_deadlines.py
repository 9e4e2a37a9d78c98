"""lb.relay.deadlines: bodies that come too slowly, nodes that stay silent, and seconds that are nobody's fault."""

import pytest

from lb.config import Config
from lb.relay.deadlines import HALF_CLOSED_S, STALLED_S, Deadline, Progress, between_requests, lingering

POST = b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n"
GET = b"GET /x HTTP/1.1\r\nHost: h\r\n\r\n"

CONFIG = Config()


@pytest.mark.parametrize(
    ("head", "limit_s", "passed"), [(b"GET", CONFIG.head_s, Deadline.HEAD), (b"", CONFIG.idle_s, Deadline.IDLE)]
)
def test_between_requests_a_head_or_the_next_request_is_due(head: bytes, limit_s: int, passed: Deadline) -> None:
    """Each passes after its limit, not at it."""
    assert between_requests(CONFIG, limit_s, head_begun=bool(head)) is None
    assert between_requests(CONFIG, limit_s + 0.1, head_begun=bool(head)) is passed


@pytest.mark.parametrize(
    ("linger_s", "idle_s", "closing", "passed"),
    [
        (CONFIG.linger_s, CONFIG.linger_idle_s, False, None),
        (CONFIG.linger_s + 0.1, 0.0, False, Deadline.LINGER),
        (1.0, CONFIG.linger_idle_s + 0.1, False, Deadline.LINGER),
        (1.0, CONFIG.linger_idle_s + 0.1, True, None),
    ],
)
def test_lingering_ends_late_or_when_nothing_comes(
    linger_s: float,
    idle_s: float,
    closing: bool,  # noqa: FBT001 - a row of the table
    passed: Deadline | None,
) -> None:
    """A connection that is closing already has no use for the second."""
    assert lingering(CONFIG, linger_s, idle_s, closing=closing) is passed


@pytest.mark.parametrize(("answer_paused", "limit_s"), [(False, CONFIG.answer_s), (True, CONFIG.client_stall_s)])
def test_a_byte_either_way_starts_the_answer_deadline_again(answer_paused: bool, limit_s: int) -> None:  # noqa: FBT001
    """Seconds count from the last check that saw one."""
    progress = Progress(CONFIG)

    def check(seconds: float, relayed: int) -> Deadline | None:
        return progress.check(
            seconds,
            received=0,
            relayed=relayed,
            body_due=False,
            reading_paused=False,
            awaits_continue=False,
            answer_paused=answer_paused,
            half_closed=False,
        )

    assert check(float(limit_s), 0) is None
    assert check(1.0, 1) is None
    assert check(float(limit_s), 1) is None
    assert check(1.0, 1) is Deadline.ANSWER


def test_a_body_that_waits_for_continue_is_not_due() -> None:
    """When the client waits no longer, the rate counts."""
    progress = Progress(CONFIG)

    def check(*, awaits_continue: bool) -> Deadline | None:
        return progress.check(
            CONFIG.body_grace_s + 2,
            received=0,
            relayed=0,
            body_due=True,
            reading_paused=False,
            awaits_continue=awaits_continue,
            answer_paused=False,
            half_closed=False,
        )

    assert check(awaits_continue=True) is None
    assert check(awaits_continue=False) is Deadline.BODY


def waits(client, transport) -> int:  # noqa: ANN001 - the stage's
    """The seconds without a byte until the client is answered."""
    for second in range(1, 1000):
        client.check(1.0)
        if transport.written:
            return second
    raise AssertionError("never answered")


@pytest.mark.asyncio
async def test_a_body_that_stops_coming_is_cut(stage) -> None:  # noqa: ANN001 - the stage fixture
    """408 after the longest silence, not before; it says what was measured, and that nothing is stored."""
    client, transport = stage.client()
    client.data_received(POST + b"x")
    stage.link(client)

    assert stage.config.body_stall_s < waits(client, transport) <= stage.config.body_stall_s + 3
    said = transport.take()
    assert said.startswith(b"HTTP/1.1 408 ")
    assert b"1 bytes of the body came in 32 s, and none in the last 32 s." in said, said
    assert b'"stored":false' in said
    assert b"\r\nSnapsurge-Ticket:" not in said


@pytest.mark.asyncio
@pytest.mark.parametrize("cause", ["connecting", "full", "full for a part of the second"])
async def test_bytes_that_come_while_reading_is_paused_count(stage, cause: str) -> None:  # noqa: ANN001
    """A fast start while the balancer connects, or while the node takes nothing, pays for a later silence."""
    client, transport = stage.client()
    client.data_received(POST + b"x" * 50_000)
    if cause == "connecting":
        client.check(1.0)
    link, _ = stage.link(client)
    if cause != "connecting":
        link.pause_writing()
        if cause == "full":
            client.check(1.0)
        link.resume_writing()
    client.check(1.0)

    assert waits(client, transport) > stage.config.body_stall_s


@pytest.mark.asyncio
async def test_seconds_in_which_we_do_not_read_are_not_the_clients(stage) -> None:  # noqa: ANN001
    """While the node takes nothing, the body may stand still; the node has its own deadline."""
    client, transport = stage.client()
    client.data_received(POST + b"x")
    link, _ = stage.link(client)
    link.pause_writing()
    for _ in range(stage.config.body_grace_s + 5):
        client.check(1.0)

    assert transport.take() == b""
    assert not transport.reading


@pytest.mark.asyncio
async def test_a_silent_node_is_a_timeout(stage) -> None:  # noqa: ANN001
    """The request is complete and nothing comes: 504 after the time for an answer."""
    client, transport = stage.client()
    client.data_received(GET)
    stage.link(client)
    client.check(float(stage.config.answer_s))
    assert transport.take() == b""
    client.check(1.0)

    assert transport.take().startswith(b"HTTP/1.1 504 ")


def test_a_half_closed_client_has_a_moment_from_its_half_close_on() -> None:
    """The deadline passes after its limit, not at it, and earlier seconds do not count."""
    progress = Progress(CONFIG)

    def check(seconds: float, *, half_closed: bool) -> Deadline | None:
        return progress.check(
            seconds,
            received=0,
            relayed=0,
            body_due=False,
            reading_paused=False,
            awaits_continue=False,
            answer_paused=False,
            half_closed=half_closed,
        )

    assert check(10.0, half_closed=False) is None
    assert check(HALF_CLOSED_S, half_closed=True) is None
    assert check(0.1, half_closed=True) is Deadline.HALF_CLOSED


@pytest.mark.parametrize(
    ("received", "answer_paused", "stalled"), [(1, False, True), (0, False, False), (1, True, False)]
)
def test_an_upload_without_an_answer_is_stalled_once(received: int, answer_paused: bool, stalled: bool) -> None:  # noqa: FBT001
    """After its time, not at it; not a read, and not while the client does not read its answer."""
    progress = Progress(CONFIG)

    def check(seconds: float) -> Deadline | None:
        return progress.check(
            seconds,
            received=received,
            relayed=0,
            body_due=False,
            reading_paused=False,
            awaits_continue=False,
            answer_paused=answer_paused,
            half_closed=False,
        )

    check(0.0)
    assert [check(STALLED_S), check(0.1), check(1.0)] == [None, Deadline.STALLED if stalled else None, None]
