"""ingest.resuming.legs: what a client is told of its progress, at a bounded rate from both sides."""

from ingest.admission import Admission, Budget, Rank
from ingest.body.arriving import Body
from ingest.body.buffers import Buffer
from ingest.body.multipart import MultipartReader
from ingest.commits import Commits
from ingest.resuming.legs import TOLD_BYTES, TOLD_S, Leg

MIB = 1 << 20
HEAD = b'--x\r\nContent-Disposition: form-data; name="front"\r\n\r\n'


class Stage:
    """A leg of a 4 MiB upload that has begun, with a clock."""

    def __init__(self, *, tells: bool = True) -> None:
        self.now = 100.0
        self.told: list[int] = []
        self.moved: list[float] = []
        node = Admission(Budget(requests_max=1, bytes_max=8 * MIB), Commits())
        place, _ = node.admit("u", 4 * MIB, Rank.FIRST, 0.0)
        assert place is not None
        buffer = Buffer(4 * MIB)
        self.body = Body(place, buffer, MultipartReader(b"x", {"front": 4 * MIB}, buffer), None)
        self.leg = Leg(self.body, node, lambda: self.now, self.moved.append, self.told.append if tells else None)
        self.leg.feed(HEAD)

    def come(self, count: int) -> None:
        """So many bytes more."""
        self.leg.room()
        self.leg.landed(count)


def test_a_client_is_told_after_so_many_bytes_and_seconds() -> None:
    """Not before both."""
    stage = Stage()
    stage.now += TOLD_S
    stage.come(TOLD_BYTES - len(HEAD) - 1)
    assert stage.told == []
    stage.come(1)
    assert stage.told == [TOLD_BYTES]
    stage.come(TOLD_BYTES)
    stage.now += TOLD_S - 0.1
    stage.come(TOLD_BYTES)
    assert stage.told == [TOLD_BYTES]
    stage.now += 0.2
    stage.come(1)
    assert stage.told == [TOLD_BYTES, 3 * TOLD_BYTES + 1]


def test_each_arrival_is_an_activity() -> None:
    """Through aiohttp and past it: the life of the upload counts from the last byte."""
    stage = Stage()
    stage.now += 5
    stage.come(10)
    assert stage.moved == [100.0, 105.0]


def test_where_the_version_has_no_such_answer_nothing_is_told() -> None:
    """Version 3."""
    stage = Stage(tells=False)
    stage.now += 60
    stage.come(MIB)
    assert stage.told == []
