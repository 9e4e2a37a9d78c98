"""lb.relay.tank: the shared read buffer, lent while a transport still writes from it."""

from lb.relay.tank import LENT_MAX, TANK_BYTES, Tank


class Slow:
    """A transport with bytes left to write."""

    def __init__(self, left: int = 1) -> None:
        self.left = left

    def get_write_buffer_size(self) -> int:
        """As set."""
        return self.left


def test_a_lent_buffer_comes_back_only_when_it_was_written() -> None:
    """While the borrower still writes there is another buffer; after that the first serves again."""
    tank, borrower = Tank(), Slow()
    first = tank.view
    tank.lend(borrower)
    second = tank.view
    assert second is not first
    tank.lend(Slow())
    assert tank.view is not first
    assert tank.view is not second
    borrower.left = 0
    tank.lend(Slow())

    assert tank.view is first
    assert len(first) == TANK_BYTES


def test_few_are_awaited_back() -> None:
    """However many transports are slow, the tank keeps hold of a bounded number of buffers."""
    tank = Tank()
    seen = {id(tank.view): tank.view}
    for _ in range(LENT_MAX * 3):
        tank.lend(Slow())
        seen[id(tank.view)] = tank.view

    assert len(tank._lent) == LENT_MAX
    assert len(seen) == LENT_MAX * 3 + 1
