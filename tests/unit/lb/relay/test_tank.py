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


def test_a_bounded_number_of_lent_buffers_is_used_again() -> None:
    """However many slow transports borrowed one: of the buffers that come back, the tank still knows `LENT_MAX`."""
    tank, borrowers = Tank(), [Slow() for _ in range(LENT_MAX * 3)]
    seen = {id(tank.view): tank.view}
    for borrower in borrowers:
        tank.lend(borrower)
        seen[id(tank.view)] = tank.view
    assert len(seen) == LENT_MAX * 3 + 1

    for borrower in borrowers:
        borrower.left = 0
    reused = 0
    for _ in range(LENT_MAX * 3):
        tank.lend(Slow())
        reused += id(tank.view) in seen
    assert reused == LENT_MAX
