"""bench.peers.loadgen: so many requests, each answer checked."""

import pytest

from bench.peers import loadgen
from bench.peers.loadgen import Load, LoadError, Target, head
from bench.peers.sink import Sink
from tests.unit.bench.peers.listening import listening


@pytest.mark.parametrize("fresh", [False, True])
async def test_all_requests_are_sent_and_timed(fresh: bool) -> None:  # noqa: FBT001
    """Kept alive or fresh, the number asked for, on the connections asked for."""
    async with listening() as (port, made):
        seconds, latencies = await loadgen.run(
            Target(port), Load(body=300_000, requests=20, connections=4, fresh=fresh)
        )

    assert len(latencies) == 20
    assert 0 < max(latencies) / 1000 <= seconds
    assert len(made) == (20 if fresh else 4)


async def test_a_body_comes_in_chunks_of_the_size_asked_for() -> None:
    """The last one is shorter, and the end comes behind it; the sink answers both framings."""
    assert loadgen.chunked(b"12345", 2) == b"2\r\n12\r\n2\r\n34\r\n1\r\n5\r\n0\r\n\r\n"
    async with listening() as (port, _):
        load = Load(body=300_000, requests=6, connections=2, fresh=False, chunk=1024)
        _, latencies = await loadgen.run(Target(port), load)

    assert len(latencies) == 6


async def test_a_paced_body_takes_its_time() -> None:
    """Five pieces take four pauses and more, whole all the same."""
    async with listening() as (port, _):
        load = Load(body=5 * loadgen.PIECE_BYTES, requests=2, connections=2, fresh=False, paced=True)
        _, latencies = await loadgen.run(Target(port), load)

    assert min(latencies) >= 4 * loadgen.PAUSE_S * 1000


class Wrong(Sink):
    """Says what it should not."""

    def data_received(self, data: bytes) -> None:
        """Anything is refused."""
        del data
        self.transport.write(b"HTTP/1.1 503 No\r\n\r\nok")


class Silent(Sink):
    """Hangs up."""

    def data_received(self, data: bytes) -> None:
        """No answer."""
        del data
        self.transport.close()


@pytest.mark.parametrize(("node", "said"), [(Wrong, "503"), (Silent, "without an answer")])
async def test_a_wrong_answer_ends_the_load(node: type[Sink], said: str) -> None:
    """A contest of wrong answers would be worth nothing."""
    async with listening(node) as (port, _):
        with pytest.raises(ExceptionGroup) as failed:
            await loadgen.run(Target(port), Load(body=0, requests=5, connections=1, fresh=False))

    assert isinstance(failed.value.exceptions[0], LoadError)
    assert said in str(failed.value.exceptions[0])


def test_heads_name_their_user_and_length() -> None:
    """What the balancers hash on, and the framing."""
    assert b"\r\nX-User: user-7\r\n" in head(7, 5)
    assert head(7 + loadgen.USERS, 5) == head(7, 5)
    assert head(7, 5).endswith(b"\r\nContent-Length: 5\r\n\r\n")
    assert head(7, None).endswith(b"\r\nTransfer-Encoding: chunked\r\n\r\n")
